package audit

import "os"

// osDisk is the disk of the system.
type osDisk struct{}

func (osDisk) open(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osDisk) remove(name string) error { return os.Remove(name) }

func (osDisk) syncDir(dir string) error { return syncDir(dir) }
