package annotation

// Keys are all keys: whole words, and beginnings that a name follows.
func Keys() (words, beginnings []string) { return known, prefixes }
