package settings

import "reflect"

// Differing returns the options, such as `journal.max_bytes`, of [node], [journal], [store] and [query] in which s and t differ.
func (s Settings) Differing(t Settings) []string {
	var all []string
	for _, v := range []struct {
		table    string
		was, now any
	}{
		{"node", s.Node, t.Node}, {"journal", s.Journal, t.Journal}, {"store", s.Store, t.Store}, {"query", s.Query, t.Query},
	} {
		was, now := reflect.ValueOf(v.was), reflect.ValueOf(v.now)
		for i := range was.NumField() {
			if !was.Field(i).Equal(now.Field(i)) {
				all = append(all, v.table+"."+was.Type().Field(i).Tag.Get("toml"))
			}
		}
	}
	return all
}
