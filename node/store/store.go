// Package store keeps the points of buckets so that queries can read them: a memtable over immutable Parquet blocks, by time
// partition, with a series and tag index.
package store
