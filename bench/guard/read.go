package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// readAll reads the objects of a folder, on all cores, and keeps them until the end. It says how many there are.
func readAll(dir string) error {
	names := make(chan string, 100)
	keep := object.Control().And(object.Stateful())
	var lock sync.Mutex
	var files []*object.File
	var failed error
	var readers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		readers.Go(func() {
			for name := range names {
				data, err := os.ReadFile(name)
				f := object.Read(name, data, keep)
				if err == nil && f.Bad != nil {
					err = fmt.Errorf("%s: %w", name, f.Bad)
				}
				lock.Lock()
				files = append(files, f)
				if err != nil {
					failed = err
				}
				lock.Unlock()
			}
		})
	}
	err := filepath.WalkDir(filepath.Join(dir, "env"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names <- path
		}
		return err
	})
	close(names)
	readers.Wait()
	if err != nil || failed != nil {
		return fmt.Errorf("reading %s: %w", dir, firstOf(err, failed))
	}
	objects := 0
	for _, f := range files {
		objects += len(f.Objects)
	}
	fmt.Println(objects)
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
