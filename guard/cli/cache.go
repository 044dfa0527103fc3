package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// openCache opens the cache in a folder, or in the user's folder for such things. Where there is none, only this run has one.
func openCache(folder string, keep object.Kinds) (inventory.Cache, error) {
	if folder == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return inventory.NewMemory(), nil
		}
		folder = filepath.Join(user, "holdfast-guard")
	}
	return inventory.OpenDisk(folder, keep)
}

// saveCache keeps the cache for the next run. That it could not be kept is no reason to fail.
func (a *app) saveCache(cache inventory.Cache) {
	if disk, ok := cache.(*inventory.Disk); ok {
		if err := disk.Save(); err != nil {
			_, _ = fmt.Fprintf(a.Err, "%v; the next run reads everything again\n", err)
		}
	}
}
