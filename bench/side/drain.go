package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func (s *server) get(path string, into any) error {
	req, err := http.NewRequest("GET", "http://"+s.addr+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Token "+s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %d", path, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// ids returns the ids of the organisation and of the bucket under measurement.
func (s *server) ids() (org, bucket string, err error) {
	var list struct{ Buckets []struct{ ID, OrgID string } }
	if err := s.get("/api/v2/buckets?name=bench&org=o", &list); err != nil {
		return "", "", err
	}
	if len(list.Buckets) != 1 {
		return "", "", fmt.Errorf("%s has %d buckets of the name", s.name, len(list.Buckets))
	}
	return list.Buckets[0].OrgID, list.Buckets[0].ID, nil
}

func (s *server) create(path string, body map[string]any) (id string, err error) {
	b, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	answer, err := s.post(path, "application/json", b, http.StatusCreated)
	if err != nil {
		return "", err
	}
	var made struct{ ID string }
	return made.ID, json.Unmarshal(answer, &made)
}

// drain makes a replication whose remote is away, fills its journal, lets the remote come back, and times until everything arrived.
func drain(from, to *server, rows int) (f figures, err error) {
	org, bucket, err := from.ids()
	if err != nil {
		return f, err
	}
	remoteOrg, remoteBucket, err := to.ids()
	if err != nil {
		return f, err
	}
	remote, err := from.create("/api/v2/remotes", map[string]any{"name": "central", "orgID": org, "remoteURL": "http://" + to.addr,
		"remoteAPIToken": "not yet", "remoteOrgID": remoteOrg, "allowInsecureTLS": false})
	if err != nil {
		return f, err
	}
	if _, err := from.create("/api/v2/replications", map[string]any{"name": "central", "orgID": org, "remoteID": remote,
		"localBucketID": bucket, "remoteBucketID": remoteBucket, "maxQueueSizeBytes": 1 << 30}); err != nil {
		return f, err
	}
	const batch = 5000
	l := newLoad(200, batch)
	rows = rows / batch * batch
	for range rows / batch {
		if _, err := from.post(from.write, "", l.next(), http.StatusNoContent); err != nil {
			return f, err
		}
	}
	cpu, begin := from.cpu(), time.Now()
	if err := from.patch("/api/v2/remotes/"+remote, fmt.Sprintf(`{"remoteAPIToken":%q}`, to.token)); err != nil {
		return f, err
	}
	for time.Since(begin) < 5*time.Minute {
		n, err := to.count()
		if err != nil {
			return f, err
		}
		if n == rows {
			took := time.Since(begin)
			f.rowsPerSecond = float64(rows) / took.Seconds()
			f.rowsPerCPU = float64(rows) / (from.cpu() - cpu).Seconds()
			return f, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return f, fmt.Errorf("the backlog did not drain within 5 minutes")
}

func (s *server) count() (int, error) {
	var doc struct {
		Results []struct {
			Error  string
			Series []struct{ Values [][]any }
		}
	}
	if err := s.get("/query?db=bench&epoch=ns&q="+url.QueryEscape("SELECT count(usage_user) FROM cpu"), &doc); err != nil {
		return 0, err
	}
	if len(doc.Results) != 1 || doc.Results[0].Error != "" {
		return 0, fmt.Errorf("count: %+v", doc)
	}
	if len(doc.Results[0].Series) == 0 {
		return 0, nil
	}
	n, _ := doc.Results[0].Series[0].Values[0][1].(float64)
	return int(n), nil
}

func (s *server) patch(path, body string) error {
	req, err := http.NewRequest("PATCH", "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Token "+s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("PATCH %s: status %d", path, resp.StatusCode)
	}
	return nil
}
