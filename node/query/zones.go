package query

// tz() must know its places on machines without a time zone database: Windows, and images that hold nothing but the program. It
// adds about 450 kB to the binary; a database that the system has is preferred.
import _ "time/tzdata"
