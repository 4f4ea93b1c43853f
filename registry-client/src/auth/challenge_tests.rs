//! R-002: challenges as registries, proxies and attackers write them.

use super::*;

/// What is made of the headers of one answer: `basic`, `-` for nothing, or the realm, service and scopes of a token service.
fn read(headers: &[&str]) -> String {
    match choose(headers.iter().copied()) {
        None => "-".to_owned(),
        Some(Challenge::Basic) => "basic".to_owned(),
        Some(Challenge::Bearer(b)) => {
            [b.realm, b.service.unwrap_or_else(|| "-".to_owned()), b.scopes.join("+")].join(" ")
        }
    }
}

#[test]
fn r002_one_header() {
    let full = "https://a/token reg repository:x:pull,push";
    let table = [
        (r#"Bearer realm="https://a/token",service="reg",scope="repository:x:pull,push""#, full),
        // Order, case, spaces.
        (r#"Bearer scope="repository:x:pull,push",service="reg",realm="https://a/token""#, full),
        (r#"bearer REALM = "https://a/token" , Service= reg,scope ="repository:x:pull,push""#, full),
        (r#"BEARER realm="https://a/token",SERVICE="reg",Scope="repository:x:pull,push""#, full),
        (r#"Bearer   realm="https://a/token"  service="reg"  scope="repository:x:pull,push""#, full),
        ("\tBearer\trealm=\"https://a/token\",\tservice=reg,scope=\"repository:x:pull,push\"", full),
        (r#", ,Bearer realm="https://a/token",,service="reg",scope="repository:x:pull,push","#, full),
        // Several challenges in one header.
        (
            r#"Negotiate, Basic realm="x", Bearer realm="https://a/token",service="reg",scope="repository:x:pull,push""#,
            full,
        ),
        (
            r#"Bearer realm="https://a/token", service="reg", scope="repository:x:pull,push", Basic realm="b""#,
            full,
        ),
        (r#"Digest realm="d",nonce="n",Bearer realm="r",service="s""#, "r s "),
        ("Negotiate YII9pZ==, Basic realm=x", "basic"),
        ("Negotiate YII9pZ==, Bearer realm=r", "r - "),
        (r#"NTLM, Negotiate, Kerberos x=y, Basic realm="x""#, "basic"),
        (r#"Bearer realm="", Basic realm="x""#, "basic"),
        (r#"Bearer realm="", Bearer realm="second""#, "second - "),
        (r#"Bearer realm="first", Bearer realm="second""#, "first - "),
        // Values.
        ("Bearer realm=https://a/token?x=1,service=s", "https://a/token?x=1 s "),
        (r#"Bearer realm="a\"b,c""#, "a\"b,c - "),
        (r#"Bearer realm="a\\b",service="x\y""#, "a\\b xy "),
        (r#"Bearer realm="a=b, Basic realm=c",service="s""#, "a=b, Basic realm=c s "),
        (r#"Bearer realm="https://a",scope="a b  c""#, "https://a - a+b+c"),
        (r#"Bearer realm="https://a",scope="  ",service="""#, "https://a - "),
        ("Bearer realm=r,scope=repository:x:pull,push", "r - repository:x:pull"),
        ("Bearer realm=r,service='s'", "r 's' "),
        (r#"Bearer realm="é",service="s""#, "é s "),
        // Parts that are missing or too many.
        (r#"Bearer realm="r""#, "r - "),
        (r#"Bearer realm="r",service="s""#, "r s "),
        (r#"Bearer realm="first",realm="second",service="a",service="b""#, "first a "),
        (r#"Bearer realm="r",error="insufficient_scope",error_description="no, really",x=y"#, "r - "),
        (r#"Bearer service="s",scope="x""#, "-"),
        (r#"Bearer realm="""#, "-"),
        ("Bearer realm=", "-"),
        ("Bearer realm", "-"),
        ("Bearer", "-"),
        ("Bearer=realm", "-"),
        (r#"realm="r""#, "-"),
        (r#"Bearers realm="r""#, "-"),
        (r#"Digest nonce="abc, Basic realm=x""#, "-"),
        (r#"Bearer realm="unclosed"#, "unclosed - "),
        (r#"Bearer realm="unclosed\"#, "unclosed - "),
        (r#"Basic realm="Registry Realm""#, "basic"),
        ("BASIC", "basic"),
        ("", "-"),
        (",,, ,", "-"),
        ("\"", "-"),
        ("====", "-"),
        ("é", "-"),
    ];
    assert!(table.len() >= 40);
    for (header, want) in table {
        assert_eq!(read(&[header]), want, "{header}");
    }
}

#[test]
fn r002_several_headers() {
    let table: [(&[&str], &str); 6] = [
        (&["Negotiate", r#"Basic realm="x""#, r#"Bearer realm="https://a""#], "https://a - "),
        (&[r#"Bearer realm="https://a""#, r#"Basic realm="x""#], "https://a - "),
        (&["Bearer", "Basic realm=x"], "basic"),
        // The parameters of one header do not belong to the scheme of another.
        (&["Bearer", r#"realm="r",service="s""#], "-"),
        (&["Basic", "Basic"], "basic"),
        (&[], "-"),
    ];
    for (headers, want) in table {
        assert_eq!(read(headers), want, "{headers:?}");
    }
}

#[test]
fn r002_a_header_of_64_kib_is_not_read() {
    let long = format!("Basic realm=\"{}\"", "x".repeat(64 * 1024));
    assert_eq!(read(&[&long]), "-");
    assert_eq!(read(&[&long, "Basic realm=x"]), "basic", "the others are");
    // Much in little does not take long either.
    let many = "a=\"".repeat(MAX_BYTES / 3);
    assert_eq!(read(&[&many]), "-");
}

#[test]
fn r002_an_error_parameter_is_kept() {
    let Some(Challenge::Bearer(b)) =
        choose(std::iter::once(r#"Bearer realm="r",error="insufficient_scope""#))
    else {
        panic!("no bearer challenge");
    };
    assert_eq!(b.error.as_deref(), Some("insufficient_scope"));
}
