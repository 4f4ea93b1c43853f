#![allow(clippy::unwrap_used)]

use super::*;

fn proxies(variables: &[(&str, &str)]) -> Proxies {
    Proxies::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
}

fn route(proxies: &Proxies, url: &str) -> Option<Result<String, String>> {
    let way = proxies.of(&Url::parse(url).unwrap())?;
    Some(way.map(Proxy::address).map_err(str::to_owned))
}

#[test]
fn r103_each_scheme_has_its_variables() {
    type Row<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, Option<&'a str>);
    let table: [Row; 8] = [
        (&[], None, None),
        (&[("HTTPS_PROXY", "http://p.test:3128")], Some("p.test:3128"), None),
        (&[("https_proxy", "p.test")], Some("p.test:80"), None),
        (&[("http_proxy", "https://p.test")], None, Some("p.test:443")),
        (&[("ALL_PROXY", "http://[::1]:3128/")], Some("[::1]:3128"), Some("[::1]:3128")),
        (
            &[("HTTPS_PROXY", ""), ("all_proxy", "10.0.0.1:8080")],
            Some("10.0.0.1:8080"),
            Some("10.0.0.1:8080"),
        ),
        (&[("HTTPS_PROXY", "a.test:1"), ("https_proxy", "b.test:2")], Some("a.test:1"), None),
        (&[("HTTPS_PROXY", " http://u:p%40w@p.test:1 ")], Some("p.test:1"), None),
    ];
    for (variables, secure, plain) in table {
        let proxies = proxies(variables);
        assert_eq!(route(&proxies, "https://reg.test/"), secure.map(|p| Ok(p.to_owned())), "{variables:?}");
        assert_eq!(route(&proxies, "http://reg.test/"), plain.map(|p| Ok(p.to_owned())), "{variables:?}");
        for local in ["https://localhost:5000/", "http://127.0.0.1:5000/", "https://[::1]/"] {
            assert_eq!(route(&proxies, local), None, "{local}");
        }
    }
}

#[test]
fn r103_what_cannot_be_used_is_told_without_its_password() {
    for bad in [
        "socks5://ann:hunter2@p.test:1080",
        "socks5h://p.test",
        "ftp://hunter2@p.test",
        "http://ann:hunter2@",
        "://",
    ] {
        let proxies = proxies(&[("HTTPS_PROXY", bad), ("NO_PROXY", "near.test")]);
        let Some(Err(told)) = route(&proxies, "https://reg.test/") else { panic!("{bad}") };
        assert!(told.contains("HTTPS_PROXY") && !told.contains("hunter2"), "{told}");
        assert_eq!(route(&proxies, "https://near.test/"), None);
        assert_eq!(route(&proxies, "http://reg.test/"), None);
    }
}

#[test]
fn r103_exceptions_of_all_forms() {
    let all = "plain.test, REG.test:5000,.sub.test:443, [::1]:7, 2001:db8::5, 10.0.0.0/8,fd00::/8,*.star.test,\
               192.0.2.7:80,bad/entry, x:y, 10.0.0.0/40";
    let exceptions = Exceptions::parse(all);
    let table = [
        ("https://reg.test:5000/", true),
        ("https://a.reg.test:5000/", true),
        ("https://reg.test/", false),
        ("https://notreg.test:5000/", false),
        ("https://x.sub.test/", true),
        ("http://x.sub.test/", false),
        ("https://[::1]:7/", true),
        ("https://[::1]/", false),
        ("https://plain.test:99/", true),
        ("https://PLAIN.test./", true),
        ("https://a.b.plain.test/", true),
        ("https://[2001:db8::5]:5000/", true),
        ("https://[2001:db8::6]/", false),
        ("https://10.255.1.2/", true),
        ("https://11.0.0.1/", false),
        ("https://[fdff::1]/", true),
        ("https://[fc00::1]/", false),
        ("https://a.star.test/", true),
        ("http://192.0.2.7/", true),
        ("https://192.0.2.7/", false),
    ];
    for (url, want) in table {
        assert_eq!(exceptions.hold(&Url::parse(url).unwrap()), want, "{url}");
    }
    for url in ["https://reg.test/", "http://10.0.0.1/"] {
        assert!(Exceptions::parse("a.test, *").hold(&Url::parse(url).unwrap()), "{url}");
        assert!(!Exceptions::parse("").hold(&Url::parse(url).unwrap()), "{url}");
    }
}
