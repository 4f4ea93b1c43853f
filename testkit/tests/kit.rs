//! The kit itself.

use cooper_testkit::{Output, Registry, Unprivileged, is_root, program, testdata};

#[test]
fn a_registry_answers_and_stops() {
    let Some(registry) = Registry::start() else { return };
    let address = registry.host();
    assert!(std::net::TcpStream::connect(&address).is_ok());
    drop(registry);
    assert!(std::net::TcpStream::connect(&address).is_err());
}

#[test]
fn a_registry_with_a_password_refuses_strangers() {
    let Some(registry) = Registry::start_with_password() else { return };
    let Some(curl) = cooper_testkit::find_program("curl") else { return cooper_testkit::skip("no curl") };
    let url = format!("http://{}/v2/", registry.host());
    let code = |arguments: &[&str]| {
        let mut command = program(&curl);
        command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]).args(arguments).arg(&url);
        Output::of(&mut command).stdout
    };
    assert_eq!(code(&[]), "401");
    assert_eq!(code(&["-u", &format!("{}:{}", cooper_testkit::USER, cooper_testkit::PASSWORD)]), "200");
}

#[test]
fn the_unprivileged_user_is_not_root() {
    if !is_root() {
        return cooper_testkit::skip("needs root to become another user");
    }
    let Some(user) = Unprivileged::new() else { return };
    let output = Output::of(user.command("id").arg("-u")).expect_success();
    assert_ne!(output.stdout.trim(), "0");
    Output::of(user.command("touch").arg("mine")).expect_success();
    Output::of(user.command("touch").arg("/etc/not-mine")).expect_code(1);
}

#[test]
fn the_base_image_is_there() {
    assert!(testdata("base/index.json").is_file());
}
