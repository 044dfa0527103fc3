package argo

// Operation is what an Application's field operation asks for. Argo CD does it at once, automated or not, and takes the field away.
type Operation struct {
	Sync *SyncOperation `json:"sync"`
}

// SyncOperation is a sync, which may have sources of its own.
type SyncOperation struct {
	Prune   bool     `json:"prune"`
	DryRun  bool     `json:"dryRun"`
	Source  *Source  `json:"source"`
	Sources []Source `json:"sources"`
}

// Operated returns an Application as its operation syncs it, nil where it has none that does.
func (a *Application) Operated() *Application {
	if a.Operation == nil || a.Operation.Sync == nil || a.Operation.Sync.DryRun {
		return nil
	}
	as, sync := *a, a.Operation.Sync
	if len(sync.Sources) > 0 || sync.Source != nil {
		as.Spec.Source, as.Spec.Sources, as.Spec.SourceHydrator = sync.Source, sync.Sources, nil
	}
	as.Spec.SyncPolicy.Automated = &Automated{Prune: sync.Prune, AllowEmpty: true}
	return &as
}
