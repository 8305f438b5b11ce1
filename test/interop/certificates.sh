# Certificates for a run, sourced by the scripts that need them: an authority, and in $work/certificates what it has signed for
# localhost, other.example and a client; and one of an authority that nobody trusts.
need openssl openssl
export CERTIFICATES="$work/certificates"
mkdir -p "$CERTIFICATES"

make_authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
    -keyout "$CERTIFICATES/$1.key" -out "$CERTIFICATES/$1.pem" 2>/dev/null
}

# make_certificate AUTHORITY NAME ALTERNATIVES
make_certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" \
    -keyout "$CERTIFICATES/$2.key" -out "$CERTIFICATES/$2.csr" 2>/dev/null
  openssl x509 -req -days 2 -in "$CERTIFICATES/$2.csr" -CA "$CERTIFICATES/$1.pem" -CAkey "$CERTIFICATES/$1.key" \
    -CAcreateserial -extfile <(printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\n' "$3") \
    -out "$CERTIFICATES/$2.pem" 2>/dev/null
}

make_authority authority
make_certificate authority localhost DNS:localhost,URI:sip:localhost
make_certificate authority other.example DNS:other.example
make_certificate authority client URI:sip:client.example
make_authority stranger
make_certificate stranger intruder URI:sip:client.example
