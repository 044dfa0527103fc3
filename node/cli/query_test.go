package cli

import (
	"net/url"
	"strings"
	"testing"
)

// asked is a query's request: a form, whose fields are sorted.
func asked(form url.Values, answer string) exchange {
	return exchange{request: "POST /query", body: form.Encode(), status: 200, answer: answer}
}

const queryJSON = `{"results":[{"statement_id":0,"messages":[{"level":"warning","text":"slow"}],"series":[` +
	`{"name":"cpu","tags":{"host":"a","dc":"x"},"columns":["time","mean","n"],"values":[["2026-03-01T10:00:00Z",1.5,9223372036854775807],["2026-03-01T10:00:10Z",null,2]]},` +
	`{"name":"mem","columns":["time","s"],"values":[["2026-03-01T10:00:00Z","a\tb"]]}]}]}` + "\n"

func TestQueryPrintsTables(t *testing.T) {
	const text = "SELECT mean(v), count(v) AS n FROM cpu GROUP BY *"
	form := url.Values{"q": {text}, "db": {"telegraf"}, "chunked": {"true"}}
	for name, args := range map[string]string{"table": "", "no-headers": "--hide-headers", "raw": "--raw"} {
		t.Run(name, func(t *testing.T) {
			host := play(t, asked(form, queryJSON))
			golden(t, "query-"+name, run(t, host, append([]string{"query", "-b", "telegraf", text}, strings.Fields(args)...)...).String(), host)
		})
	}
}

func TestQueryJoinsTheChunksOfASeries(t *testing.T) {
	host := play(t, asked(url.Values{"q": {"SELECT v FROM cpu"}, "chunked": {"true"}},
		`{"results":[{"statement_id":0,"series":[{"name":"cpu","columns":["time","v"],"values":[["2026-03-01T10:00:00Z",1]],"partial":true}],"partial":true}]}`+"\n"+
			`{"results":[{"statement_id":0,"series":[{"name":"cpu","columns":["time","v"],"values":[["2026-03-01T10:00:10Z",2]]}]}]}`+"\n"+
			`{"results":[{"statement_id":1,"series":[{"name":"cpu","columns":["time","v"],"values":[["2026-03-01T10:00:20Z",3]]}]}]}`+"\n"))
	golden(t, "query-chunks", run(t, host, "query", "SELECT v FROM cpu").String(), host)
}

func TestQueryFormsOfOutput(t *testing.T) {
	t.Run("json", func(t *testing.T) {
		host := play(t, asked(url.Values{"q": {"SHOW DATABASES"}}, queryJSON))
		golden(t, "query-json", run(t, host, "query", "--json", "SHOW DATABASES").String(), host)
	})
	t.Run("csv", func(t *testing.T) {
		const csv = "name,tags,time,v\ncpu,host=a,1,2\n"
		host := play(t, asked(url.Values{"q": {"SELECT v FROM cpu"}, "chunked": {"true"}, "epoch": {"ms"}, "db": {"d"}, "rp": {"r"}}, csv))
		if got := run(t, host, "query", "--csv", "--epoch", "ms", "--db", "d", "--rp", "r", "SELECT v FROM cpu"); got != (outcome{out: csv}) {
			t.Errorf("%s", got)
		}
	})
}

func TestQueryIsReadFromArgumentFileOrStdin(t *testing.T) {
	const text = "SHOW DATABASES"
	path := fileOf(t, "q.iql", text+"\n")
	for _, args := range [][]string{{text}, {"@" + path}, {"-f", path}, {"-"}, {}} {
		s := at(t, play(t, asked(url.Values{"q": {text}, "chunked": {"true"}}, `{"results":[{"statement_id":0}]}`)))
		s.stdin = text + "\n"
		if got := s.run(t, append([]string{"query"}, args...)...); got != (outcome{}) {
			t.Errorf("%q: %s", args, got)
		}
	}
}

func TestBucketOfTwoPartsIsDatabaseAndPolicy(t *testing.T) {
	s := at(t, play(t, asked(url.Values{"q": {"SELECT v FROM m"}, "chunked": {"true"}, "db": {"d"}, "rp": {"year"}}, `{"results":[{"statement_id":0}]}`)))
	s.env["INFLUX_BUCKET_NAME"] = "d/year"
	if got := s.run(t, "query", "SELECT v FROM m"); got.code != ExitDone {
		t.Errorf("%s", got)
	}
}

func TestErrorsOfStatementsAreTheCommands(t *testing.T) {
	const answer = `{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["a"]]}]},{"statement_id":1,"error":"database not found: x"}]}`
	for name, args := range map[string][]string{"table": nil, "json": {"--json"}} {
		t.Run(name, func(t *testing.T) {
			form := url.Values{"q": {"SHOW DATABASES; SELECT v FROM x..m"}}
			if name == "table" {
				form.Set("chunked", "true")
			}
			host := play(t, asked(form, answer))
			golden(t, "query-error-"+name, run(t, host, append([]string{"query", form.Get("q")}, args...)...).String(), host)
		})
	}
}

func TestRefusedQueryAndBrokenAnswerAreErrors(t *testing.T) {
	form := url.Values{"q": {"SELEC"}, "chunked": {"true"}}
	host := play(t, refuse(asked(form, ""), 400, `{"code":"invalid","message":"failed to parse query: found SELEC","error":"failed to parse query: found SELEC"}`))
	if got := run(t, host, "query", "SELEC"); got.code != ExitFailed || !strings.Contains(got.errors, "found SELEC") {
		t.Errorf("%s", got)
	}
	host = play(t, asked(form, `{"results":[{"statement_id":0,"ser`))
	if got := run(t, host, "query", "SELEC"); got.code != ExitFailed || !strings.Contains(got.errors, "reading the answer") {
		t.Errorf("%s", got)
	}
}

func TestFluxIsRefusedByName(t *testing.T) {
	for _, text := range []string{
		`from(bucket: "b") |> range(start: -1h)`, "import \"math\"\nx", "  FROM (bucket:\"b\")", "buckets()", "option now = () => 1", "a = 1", "data\n|> limit(n: 1)",
	} {
		if got := run(t, play(t), "query", text); got.code != ExitUsage || !strings.Contains(got.errors, "Flux is not supported yet") {
			t.Errorf("%q: %s", text, got)
		}
	}
	for _, text := range []string{"SELECT a FROM b WHERE c = 1", "select * from (select mean(x) from y)", "SHOW TAG VALUES WITH KEY = a"} {
		if isFlux(text) {
			t.Errorf("%q was taken for Flux", text)
		}
	}
}

func TestQueryNeedsOneQuery(t *testing.T) {
	path := fileOf(t, "q.iql", "SHOW DATABASES")
	for _, args := range [][]string{{""}, {"-f", path, "SHOW DATABASES"}, {"SHOW", "DATABASES"}, {"--db", "d", "-b", "b", "SHOW DATABASES"}} {
		if got := run(t, play(t), append([]string{"query"}, args...)...); got.code != ExitUsage {
			t.Errorf("%q: %s", args, got)
		}
	}
}

func TestShellReadsStatementsFromLines(t *testing.T) {
	answer := `{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["telegraf"]]}]}]}`
	host := play(t, exchange{request: "GET /ping", status: 204},
		asked(url.Values{"q": {"SHOW DATABASES"}, "chunked": {"true"}}, answer),
		asked(url.Values{"q": {"SELECT v FROM m;"}, "chunked": {"true"}, "db": {"my db"}, "rp": {"year"}, "epoch": {"ms"}}, answer),
		exchange{request: "POST /write?db=my db&precision=ms&rp=year", body: "m v=1 5\n", status: 204},
		exchange{request: "POST /write?db=other&precision=ms", body: "m,t=a\\ b v=1 5\n", status: 204},
		asked(url.Values{"q": {"SHOW MEASUREMENTS"}, "chunked": {"true"}, "epoch": {"ms"}}, answer))
	s := at(t, host)
	s.stdin = "SHOW DATABASES\n\nuse \"my db\".year\nprecision ms\nSELECT v FROM m;\nINSERT m v=1 5\ninsert into other m,t=a\\ b v=1 5\nsettings\nclear db\nSHOW MEASUREMENTS\nhelp\nexit\nSHOW NOTHING\n"
	golden(t, "shell", s.run(t, "v1", "shell").String(), host)
}

func TestShellEndsAtTheFirstErrorWhereNobodyTypes(t *testing.T) {
	for text, want := range map[string]string{
		"use a b\n": "use DB", "precision fast\n": "fast", "insert m v=1\n": "no database", "insert into\n": "no database", "clear all\n": "clear database",
	} {
		s := at(t, play(t, exchange{request: "GET /ping", status: 204}))
		s.stdin = text + "SHOW DATABASES\n"
		if got := s.run(t, "v1", "shell"); got.code != ExitFailed || !strings.Contains(got.errors, want) {
			t.Errorf("%q: %s", text, got)
		}
	}
}
