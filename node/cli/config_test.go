package cli

import (
	"os"
	"strings"
	"testing"
)

func TestConfigsAreCreatedListedSwitchedAndRemoved(t *testing.T) {
	s := fresh(t, "")
	var log, printed strings.Builder
	for _, line := range []string{
		"config",
		"config create -n edge -u http://edge:8086 -t tok1 -o o -a",
		"config create --config-name central --host-url https://central --username-password ann:pw1234567",
		"config create -n edge -u http://x",
		"config create -n bad -u edge:8086",
		"config create -n both -u http://x -t t -p u",
		"config create -n none",
		"config ls",
		"config list --json",
		"config central",
		"config -",
		"config set -n central -t tok2 -o p --active",
		"config update -n nowhere -o p",
		"config nowhere",
		"config --hide-headers",
		"config rm edge nowhere",
		"config rm",
		"config a b",
		"config ls --json",
	} {
		got := s.run(t, strings.Fields(line)...).String()
		log.WriteString("$ holdfast " + line + "\n" + got)
		printed.WriteString(got)
	}
	golden(t, "config", strings.ReplaceAll(log.String(), s.env["INFLUX_CONFIGS_PATH"], "CONFIGS"), "nohost")
	for _, secret := range []string{"tok1", "tok2", "pw1234567"} {
		if strings.Contains(printed.String(), secret) {
			t.Errorf("the secret %q was printed", secret)
		}
	}
	text, err := os.ReadFile(s.env["INFLUX_CONFIGS_PATH"])
	if err != nil || !strings.Contains(string(text), `token = "tok2"`) {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestDamagedConfigsStopCommandsAndStay(t *testing.T) {
	s := fresh(t, "http://127.0.0.1:1")
	if err := os.WriteFile(s.env["INFLUX_CONFIGS_PATH"], []byte("[x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"ping"}, {"config"}, {"config", "create", "-n", "a", "-u", "http://a"}} {
		if got := s.run(t, args...); got.code != ExitFailed || !strings.Contains(got.errors, s.env["INFLUX_CONFIGS_PATH"]) {
			t.Errorf("%q: %s", args, got)
		}
	}
	if text, _ := os.ReadFile(s.env["INFLUX_CONFIGS_PATH"]); string(text) != "[x\n" {
		t.Errorf("the file was changed: %q", text)
	}
}
