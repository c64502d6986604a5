package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// pki writes, under -dir, every certificate, key and kubeconfig that the
// components need. It overwrites what is there.
func pki(args []string) int {
	fs := flag.NewFlagSet("pki", flag.ExitOnError)
	dir := fs.String("dir", "pki", "output folder")
	nodes := fs.String("nodes", "node0=127.0.0.1", "comma-separated NAME=IP of the kubelets")
	sans := fs.String("sans", "127.0.0.1", "comma-separated extra names and addresses of the API server")
	server := fs.String("server", "https://127.0.0.1:6443", "API server address in the kubeconfigs")
	fs.Parse(args)
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		log.Fatal(err)
	}
	out := issuer{dir: *dir}

	ca := out.ca("ca", "kubernetes-ca")
	front := out.ca("front-proxy-ca", "front-proxy-ca")

	out.leaf(ca, "apiserver", "kube-apiserver", nil, append(strings.Split(*sans, ","),
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"))
	out.leaf(front, "front-proxy-client", "front-proxy-client", nil, nil)
	out.leaf(ca, "apiserver-kubelet-client", "kube-apiserver-kubelet-client", []string{"system:masters"}, nil)

	clients := [][]string{
		{"admin", "admin", "system:masters"},
		{"controller-manager", "system:kube-controller-manager"},
		{"scheduler", "system:kube-scheduler"},
		{"kube-proxy", "system:kube-proxy"},
	}
	for _, n := range strings.Split(*nodes, ",") {
		name, ip, ok := strings.Cut(n, "=")
		if !ok {
			log.Fatalf("-nodes: %q is not NAME=IP", n)
		}
		clients = append(clients, []string{"kubelet-" + name, "system:node:" + name, "system:nodes"})
		out.leaf(ca, "kubelet-serving-"+name, "system:node:"+name, []string{"system:nodes"}, []string{name, ip, "127.0.0.1"})
	}
	for _, c := range clients {
		crt, key := out.leaf(ca, "client-"+c[0], c[1], c[2:], nil)
		out.write(c[0]+".kubeconfig", kubeconfig(*server, ca.pem, crt, key), 0o600)
	}

	// Service account signing key.
	key := newKey()
	out.write("sa.key", keyPEM(key), 0o600)
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		log.Fatal(err)
	}
	out.write("sa.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}), 0o644)
	return 0
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

type issuer struct{ dir string }

func (o issuer) write(name string, data []byte, mode os.FileMode) {
	if err := os.WriteFile(filepath.Join(o.dir, name), data, mode); err != nil {
		log.Fatal(err)
	}
}

func (o issuer) ca(file, cn string) authority {
	t := template(cn, nil)
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key := newKey()
	a := authority{cert: t, key: key}
	a.pem = sign(t, authority{cert: t, key: key}, key.Public())
	o.write(file+".crt", a.pem, 0o644)
	o.write(file+".key", keyPEM(key), 0o600)
	return a
}

func (o issuer) leaf(ca authority, file, cn string, orgs, sans []string) (crt, key []byte) {
	t := template(cn, orgs)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(sans) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, s := range sans {
		if ip := net.ParseIP(s); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, s)
		}
	}
	k := newKey()
	crt, key = sign(t, ca, k.Public()), keyPEM(k)
	o.write(file+".crt", crt, 0o644)
	o.write(file+".key", key, 0o600)
	return crt, key
}

func template(cn string, orgs []string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		log.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: cn, Organization: orgs},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(5, 0, 0),
	}
}

func newKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return k
}

func keyPEM(k *ecdsa.PrivateKey) []byte {
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		log.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func sign(t *x509.Certificate, ca authority, pub crypto.PublicKey) []byte {
	der, err := x509.CreateCertificate(rand.Reader, t, ca.cert, pub, ca.key)
	if err != nil {
		log.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func kubeconfig(server string, ca, crt, key []byte) []byte {
	b := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {client-certificate-data: %s, client-key-data: %s}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`, server, b(ca), b(crt), b(key))
}
