package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// readParquet reads a file with nothing but the Parquet library: one map for each row, by column name.
func readParquet(t *testing.T, path string) []map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	f, err := parquet.OpenFile(strings.NewReader(string(data)), int64(len(data)))
	must(t, err)
	names := make(map[int]string)
	for _, path := range f.Schema().Columns() {
		leaf, _ := f.Schema().Lookup(path...)
		names[leaf.ColumnIndex] = path[0]
	}
	var out []map[string]string
	for _, g := range f.RowGroups() {
		rows := g.Rows()
		buf := make([]parquet.Row, 16)
		for {
			n, err := rows.ReadRows(buf)
			for _, r := range buf[:n] {
				m := make(map[string]string)
				for _, v := range r {
					if !v.IsNull() {
						m[names[v.Column()]] = v.String()
					}
				}
				out = append(out, m)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
		}
		must(t, rows.Close())
	}
	return out
}

func TestBlocksAreParquetFilesThatOtherProgramsRead(t *testing.T) {
	dir := t.TempDir()
	s, b := openTest(t, dir, newClock(day(1)), BucketOptions{ShardDuration: 24 * time.Hour})
	s.wideValues = 7
	at := day(1).UnixNano()
	// Host and host, and a field named as a tag, must not meet in one column.
	write(t, b, fmt.Sprintf("cpu,Host=A,host=a idle=1.5,host=3i,ok=true %d\ncpu,host=b idle=2,note=\"n\",big=18446744073709551615u %d\ncpu,host=b idle=3 %d\nsmall v=1i %d",
		at, at, at+1, at+2))
	must(t, b.Flush(context.Background()))
	files, err := filepath.Glob(filepath.Join(b.dir, "*", "*"+parquetSuffix))
	must(t, err)
	if len(files) != 2 {
		t.Fatalf("%d files, want a wide and a narrow one", len(files))
	}
	var got []string
	for _, path := range files {
		for _, row := range readParquet(t, path) {
			var cells []string
			for k, v := range row {
				cells = append(cells, k+"="+v)
			}
			slices.Sort(cells)
			got = append(got, strings.Join(cells, " "))
		}
	}
	want := []string{
		fmt.Sprintf("Host=A host_field=3 host_tag=a idle=1.5 ok=true time=%d", at),
		fmt.Sprintf("big=-1 host_tag=b idle=2 note=n time=%d", at), // the library prints the bits as if they were signed
		fmt.Sprintf("host_tag=b idle=3 time=%d", at+1),
		fmt.Sprintf("field=v measurement=small series=small time=%d value_integer=1", at+2),
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("row %d\n%s\nwant\n%s", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
}

func TestSchemaNamesTypesThatEnginesKnow(t *testing.T) {
	schema := parquetSchema("m", wideColumns([]headColumn{{key: "host"}}, []headColumn{
		{key: "b", t: 4}, {key: "f", t: 1, optional: true}, {key: "i", t: 2}, {key: "s", t: 5}, {key: "raw", t: 5, raw: true}, {key: "u", t: 3}}))
	want := `message m {
	required boolean b;
	optional double f;
	required binary host (STRING);
	required int64 i (INT(64,true));
	required binary raw;
	required binary s (STRING);
	required int64 time (TIMESTAMP(isAdjustedToUTC=true,unit=NANOS));
	required int64 u (INT(64,false));
}`
	if got := schema.String(); got != want {
		t.Errorf("schema\n%s\nwant\n%s", got, want)
	}
}
