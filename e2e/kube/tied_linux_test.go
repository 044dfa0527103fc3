package kube

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// childRole has this test's process play one that starts a child and is killed.
const childRole = "HOLDFAST_TEST_STARTS_A_CHILD"

func TestChildrenDieWithTheProcessThatStartedThem(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), childRole+"=1")
	// The child has the other end of this pipe open as long as it lives.
	alive, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(alive)
	if line, err := out.ReadString('\n'); err != nil || !strings.Contains(line, "started") {
		t.Fatalf("the parent wrote %q, %v", line, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = out.ReadString(0) // until the pipe is closed
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the child lives on after its parent was killed")
	}
	if err := parent.Wait(); err == nil {
		t.Error("the parent ended well, want that it was killed")
	}
}

// init comes before any TestMain, which would start a cluster here too.
func init() {
	if os.Getenv(childRole) == "" {
		return
	}
	child := exec.Command("sleep", "60")
	child.Stdout = os.Stdout
	if err := startTied(child); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("started")
	_ = child.Wait() // until this process is killed
	os.Exit(1)
}
