// A client and a server of Go's crypto/tls that talk over a pipe. Prints, one a line and in order, what passes
// ("send HEX", "recv HEX", seen from the client) and each line of the client's key log ("log LINE").
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

var output sync.Mutex

func say(what, value string) {
	output.Lock()
	defer output.Unlock()
	fmt.Println(what, value)
}

type seen struct{ net.Conn }

func (c seen) Write(data []byte) (int, error) {
	say("send", fmt.Sprintf("%x", data))
	return c.Conn.Write(data)
}

func (c seen) Read(data []byte) (int, error) {
	n, err := c.Conn.Read(data)
	if n > 0 {
		say("recv", fmt.Sprintf("%x", data[:n]))
	}
	return n, err
}

type keyLog struct{}

func (keyLog) Write(line []byte) (int, error) {
	say("log", strings.TrimSpace(string(line)))
	return len(line), nil
}

func main() {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"proxy.example"},
		NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(4000000000, 0),
	}
	der, _ := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	parsed, _ := x509.ParseCertificate(der)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	version := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[os.Args[1]]
	near, far := net.Pipe()
	server := tls.Server(far, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   []string{"h2"}, MaxVersion: version,
	})
	client := tls.Client(seen{near}, &tls.Config{
		RootCAs: roots, ServerName: "proxy.example", NextProtos: []string{"h2", "http/1.1"}, KeyLogWriter: keyLog{},
	})
	go func() {
		request := make([]byte, 7)
		io.ReadFull(server, request)
		server.Write(bytes.Repeat([]byte("answer "), 6000))
		server.Close()
	}()
	if _, err := client.Write([]byte("request")); err != nil {
		panic(err)
	}
	io.Copy(io.Discard, client)
	client.Close()
}
