"""The Go programs that the tests read, as sources."""

HTTP_CLIENT = """package main

import (
	"net/http"
	"os"
)

func main() {
	answer, err := http.Get(os.Args[1])
	if err != nil {
		panic(err)
	}
	println(answer.Status)
}
"""

SMALL = """package main

func main() { println("no tls") }
"""

FRAMES = """package main

import "os"

//go:noinline
func fill(b []byte, n int) int {
	for i := range b {
		b[i] = byte(n)
	}
	return int(b[len(b)/2])
}

//go:noinline
func small(n int) int { return other(n) + 1 }

//go:noinline
func other(n int) int { return fill(nil2(n), n) }

//go:noinline
func nil2(n int) []byte { return []byte(os.Args[0])[n:] }

//go:noinline
func large(n int) int { var b [1000]byte; return fill(b[:], n) }

//go:noinline
func huge(n int) int { var b [100000]byte; return fill(b[:], n) }

//go:nosplit
//go:noinline
func bare(n int) int { return n * 3 }

func main() { println(small(0), large(1), huge(2), bare(3)) }
"""

HALF_CONN = """package main

import (
	"crypto/tls"
	"reflect"
)

func main() {
	connection, _ := reflect.TypeOf(tls.Conn{}).FieldByName("in")
	for _, name := range []string{"version", "seq", "trafficSecret"} {
		field, _ := connection.Type.FieldByName(name)
		println(field.Offset)
	}
}
"""
