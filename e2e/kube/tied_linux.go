package kube

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// startTied starts cmd so that it is killed when this process dies, however that happens. The system ties a child to the thread
// that made it; so all are made by one thread, which lives as long as the process.
func startTied(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s := start{cmd: cmd, err: make(chan error)}
	starter() <- s
	return <-s.err
}

type start struct {
	cmd *exec.Cmd
	err chan error
}

var starter = sync.OnceValue(func() chan<- start {
	starts := make(chan start)
	go func() {
		runtime.LockOSThread() // never unlocked
		for s := range starts {
			s.err <- s.cmd.Start()
		}
	}()
	return starts
})
