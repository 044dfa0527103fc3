package journal

import "os"

// datasync goes through the drive's cache: os.File.Sync asks for F_FULLFSYNC on this system.
func datasync(f *os.File) error { return f.Sync() }
