// Package replicate sends what a bucket's journal holds to remotes. A replication is a reader of the journal with a
// durable position; the journal and the store are its queue.
//
// It promises that every acknowledged point reaches the remote at least once, in the order of the journal, or is found in the
// replication's dead letters or gaps; that a restart, a broken link or a refusing remote costs at most one repeated request; that one
// bad line never blocks a stream; and that new writes neither wait for a remote nor hurry it: the wait after a failure or a
// Retry-After is a gate that only time, a change of the configuration or the return of the link opens.
//
// It does not replicate deletes, does not create buckets on the remote, and does not keep points itself: what has fallen out of the
// journal is read again from the store, and is gone when the store's retention has passed.
//
// The files it keeps are described in FORMAT.md.
package replicate
