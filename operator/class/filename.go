package class

// FileName is the name of the file of a class beside the agent, and its key in the Secret that delivers it.
func FileName(class string) string { return fileName(class) }
