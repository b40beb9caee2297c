package standin

import "crypto/tls"

// tlsVersion is nginx's name of a version, such as TLSv1.3.
func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return tls.VersionName(v)
}

func cipherName(id uint16) string { return tls.CipherSuiteName(id) }
