package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/node/cli/profile"
)

const setupJSON = `{"user":` + userJSON + `,"bucket":` + bucketJSON + `,"org":` + orgJSON + `,"auth":{"id":"` + authID + `","token":"op-token","status":"active","orgID":"` + orgID + `","userID":"` + userID + `","permissions":[]}}`

func setupSteps(body string) []exchange {
	return []exchange{get("/api/v2/setup", `{"allowed":true}`), post("/api/v2/setup", body, setupJSON)}
}

// fresh is a setting without a token.
func fresh(t *testing.T, host string) setting {
	s := at(t, host)
	delete(s.env, "INFLUX_TOKEN")
	delete(s.env, "INFLUX_ORG")
	return s
}

func TestSetupWithForceAsksNothingAndSavesTheToken(t *testing.T) {
	host := play(t, setupSteps(`{"username":"ann","password":"password1","org":"o","bucket":"telegraf","retentionPeriodSeconds":259200}`)...)
	s := fresh(t, host)
	got := s.run(t, "setup", "-f", "-u", "ann", "-p", "password1", "-o", "o", "-b", "telegraf", "-r", "3d")
	golden(t, "setup-force", got.String(), host)
	p, err := profile.File{Path: s.env["INFLUX_CONFIGS_PATH"]}.Active()
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "default" || p.Host != host || p.Token != "op-token" || p.Org != "o" || !p.Active {
		t.Errorf("saved profile = %+v", p)
	}
	if strings.Contains(got.String(), "op-token") {
		t.Error("the operator token was printed")
	}
}

func TestSetupAsksForWhatIsMissing(t *testing.T) {
	host := play(t, setupSteps(`{"username":"ann","password":"password1","org":"o","bucket":"telegraf","retentionPeriodSeconds":172800}`)...)
	s := fresh(t, host)
	s.stdin = "ann\npassword1\no\n-3\n48\ny\n"
	golden(t, "setup-asked", s.run(t, "setup", "-b", "telegraf").String(), host)
}

func TestSetupThatIsNotConfirmedChangesNothing(t *testing.T) {
	for _, answer := range []string{"n\n", "\n", ""} {
		host := play(t, get("/api/v2/setup", `{"allowed":true}`))
		s := fresh(t, host)
		s.stdin = answer
		got := s.run(t, "setup", "-u", "ann", "-p", "password1", "-o", "o", "-b", "b", "-r", "0")
		if got.code != ExitFailed || !strings.Contains(got.errors, "canceled") {
			t.Errorf("answer %q: %s", answer, got)
		}
	}
}

func TestSetupOfTheSecondServerNeedsANameBeforeTheServerIsChanged(t *testing.T) {
	host := play(t, get("/api/v2/setup", `{"allowed":true}`), get("/api/v2/setup", `{"allowed":true}`))
	s := fresh(t, host)
	if _, err := (profile.File{Path: s.env["INFLUX_CONFIGS_PATH"]}).Create(profile.Profile{Name: "one", Host: "http://one"}); err != nil {
		t.Fatal(err)
	}
	args := []string{"setup", "-f", "-u", "ann", "-p", "password1", "-o", "o", "-b", "b"}
	if got := s.run(t, args...); got.code != ExitUsage || !strings.Contains(got.errors, "--name") {
		t.Errorf("without a name: %s", got)
	}
	if got := s.run(t, append(args, "-n", "one")...); got.code != ExitFailed || !strings.Contains(got.errors, "already exists") {
		t.Errorf("with a name that is taken: %s", got)
	}
}

func TestSetupErrors(t *testing.T) {
	t.Run("already set up", func(t *testing.T) {
		host := play(t, get("/api/v2/setup", `{"allowed":false}`))
		golden(t, "setup-done", fresh(t, host).run(t, "setup").String(), host)
	})
	for name, args := range map[string][]string{
		"missing":        {"setup", "--force", "-u", "ann", "-p", "password1", "-b", "b"},
		"short password": {"setup", "--force", "-u", "ann", "-p", "short", "-o", "o", "-b", "b"},
		"retention":      {"setup", "--force", "-u", "ann", "-p", "password1", "-o", "o", "-b", "b", "-r", "3q"},
	} {
		t.Run(name, func(t *testing.T) {
			host := play(t, get("/api/v2/setup", `{"allowed":true}`))
			if got := fresh(t, host).run(t, args...); got.code != ExitUsage {
				t.Errorf("%s", got)
			}
		})
	}
	t.Run("nobody to ask", func(t *testing.T) {
		host := play(t, get("/api/v2/setup", `{"allowed":true}`))
		got := fresh(t, host).run(t, "setup")
		if got.code != ExitFailed || !strings.Contains(got.errors, "--username") {
			t.Errorf("%s", got)
		}
	})
}

func TestPasswordIsReadFromALineWhenItIsNotGiven(t *testing.T) {
	host := play(t, exchange{request: "POST /api/v2/users/" + userID + "/password", body: `{"password":"from a pipe"}`, status: 204})
	s := at(t, host)
	s.stdin = "from a pipe\n"
	if got := s.run(t, "user", "password", "-i", userID); got.code != ExitDone || strings.Contains(got.String(), "from a pipe") {
		t.Errorf("%s", got)
	}
}

func TestConfigWithAUserSignsIn(t *testing.T) {
	host := play(t,
		exchange{request: "POST /api/v2/signin", status: 204, header: map[string][]string{"Set-Cookie": {"influxdb-oss-session=abc; Path=/api/"}}},
		refuse(exchange{request: "GET /api/v2/users", header: map[string][]string{"X-Any-Auth": {"yes"}}}, 200, usersJSON))
	s := fresh(t, host)
	if got := s.run(t, "config", "create", "-n", "edge", "-u", host, "-p", "ann:pass:word", "-a"); got.code != ExitDone {
		t.Fatal(got)
	}
	if got := s.run(t, "user", "list"); got.code != ExitDone || !strings.Contains(got.out, "ann") {
		t.Errorf("%s", got)
	}
	text, err := os.ReadFile(s.env["INFLUX_CONFIGS_PATH"])
	if err != nil || strings.Contains(string(text), "pass:word") {
		t.Errorf("the file has the password in clear (%v):\n%s", err, text)
	}
}

func TestTokenOfARemoteIsReadFromALineWhenItIsNotGiven(t *testing.T) {
	host := play(t, findOrg, get("/api/v2/orgs?orgID="+orgID, orgsJSON), post("/api/v2/remotes",
		`{"name":"central","orgID":"`+orgID+`","remoteURL":"https://central:8086","remoteAPIToken":"from a pipe","allowInsecureTLS":false}`, remoteJSON))
	s := at(t, host)
	s.stdin = "from a pipe"
	if got := s.run(t, "remote", "create", "-n", "central", "--remote-url", "https://central:8086"); got.code != ExitDone || strings.Contains(got.String(), "from a pipe") {
		t.Errorf("%s", got)
	}
	s = at(t, play(t))
	if got := s.run(t, "remote", "create", "-n", "central", "--remote-url", "https://central:8086"); got.code != ExitUsage || !strings.Contains(got.errors, "--remote-api-token") {
		t.Errorf("no token: %s", got)
	}
}

func TestInterruptEndsAQuestion(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	in, typed := io.Pipe()
	defer func() { _ = typed.Close() }()
	host := play(t, get("/api/v2/setup", `{"allowed":true}`))
	var errs bytes.Buffer
	asked := writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "username") {
			cancel()
		}
		return errs.Write(p)
	})
	env := fresh(t, host).env
	code := Main(ctx, Options{In: in, Out: io.Discard, Err: asked, Getenv: func(name string) string { return env[name] }}, []string{"setup"})
	if code != ExitFailed || !strings.HasSuffix(errs.String(), "Error: interrupted\n") {
		t.Errorf("exit %d\n%s", code, errs.String())
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
