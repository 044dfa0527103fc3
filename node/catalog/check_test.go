package catalog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// filledCatalog returns the path of a closed catalog with a record of most kinds.
func filledCatalog(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "catalog.db")
	c, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Setup(SetupRequest{Username: "u", Org: "o", Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateRemote(Remote{OrgID: s.Org.ID, Name: "central", URL: "http://127.0.0.1:1"}, "secret"); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckOfAWholeCatalogFindsNothing(t *testing.T) {
	path := filledCatalog(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Check(path)
	if err != nil || len(r.Problems) > 0 || r.Records < 6 {
		t.Errorf("%+v, %v", r, err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the check has changed the file: %v", err)
	}
}

// Every byte that is part of a record's text, or of the structure that leads to it, is one that Check looks at; whatever is flipped, it ends.
func TestCheckSurvivesEveryFlippedByte(t *testing.T) {
	if raceDetector {
		t.Skip("a damaged page number leads out of the mapped file; a fault inside the race detector's own reads ends the process. `make unit` runs this test without it")
	}
	path := filledCatalog(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for at := 0; at < len(whole); at += 31 {
		b := []byte(string(whole))
		b[at] ^= 0x55
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Check(path)
		if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		if len(r.Problems) > 0 {
			found++
		}
	}
	if found < 20 {
		t.Errorf("only %d flipped bytes were found", found)
	}
}

func TestCheckTellsOfALostKey(t *testing.T) {
	path := filledCatalog(t)
	if err := os.Remove(path + ".key"); err != nil {
		t.Fatal(err)
	}
	r, err := Check(path)
	if err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "the tokens of 1 remotes") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(path + ".key"); err == nil {
		t.Error("the check has made a new key")
	}
}

func TestCheckTellsOfARecordThatCannotBeRead(t *testing.T) {
	path := filledCatalog(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), `"url":"http`, `"url":?http`)), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Check(path)
	if err != nil || len(r.Problems) == 0 || !strings.HasPrefix(r.Problems[0], "remotes ") {
		t.Errorf("%+v, %v", r, err)
	}
}
