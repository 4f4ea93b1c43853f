//! What a registry loses while it is pushed to, and one that is reached by a socket file.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use cooper_testkit::{Context, Output, Registry, can_build};

/// A door to a registry. Before the first request that begins with `head` gets through, `work` is done.
fn before(registry: &str, head: &'static str, work: impl FnOnce() + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (registry, work) = (registry.to_owned(), Arc::new(Mutex::new(Some(work))));
    // Ends with the test's process.
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let Ok(mut server) = TcpStream::connect(&registry) else { continue };
            let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut back, &mut to_client);
                let _ = to_client.shutdown(Shutdown::Both);
            });
            let work = work.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 16 << 10];
                while let Ok(n) = client.read(&mut buffer) {
                    if buffer[..n].starts_with(head.as_bytes())
                        && let Some(work) = work.lock().unwrap().take()
                    {
                        work();
                    }
                    if n == 0 || server.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    host
}

#[test]
fn r076_a_blob_that_vanishes_before_the_manifest_comes_is_sent_again() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let registry = Arc::new(registry);
    let context = Context::new("vanished");
    let text = "FROM scratch\nCOPY Dockerfile /file\n";
    context.build_text(text, &["-t", &registry.image("app:1"), "--push"]);
    context.build_text(text, &["-t", &registry.image("app:1")]);
    let manifest = context.run(["manifest", &registry.image("app:1")]).expect_success().stdout;
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    // The layer is there when the push asks for it, and gone when the manifest names it.
    let (theirs, lost) = (registry.clone(), layer.clone());
    let host = before(&registry.host(), "PUT /v2/app/manifests/", move || theirs.lose(&lost));
    context.run(["tag", &registry.image("app:1"), &format!("{host}/app:2")]).expect_success();
    context.run(["push", "-q", &format!("{host}/app:2")]).expect_success();
    let elsewhere = Context::new("vanished-pull");
    elsewhere.run(["pull", "-q", &registry.image("app:2")]).expect_success();
    assert_eq!(
        registry.requests("PUT", "app/blobs/uploads/"),
        3,
        "layer and config, and the layer once more"
    );
}

#[test]
fn r109_a_registry_may_be_a_socket_file() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("socket");
    let socket = context.dir().join("registry.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let host = registry.host();
    // Ends with the test's process.
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let Ok(mut server) = TcpStream::connect(&host) else { continue };
            let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut back, &mut to_client);
                let _ = to_client.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut client, &mut server);
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    let settings = format!("server = \"unix://{}\"\n", socket.display());
    context.write("conf/containers/certs.d/box.test/hosts.toml", settings);
    let run = |words: &[&str]| {
        let mut command = context.command(words);
        Output::of(command.env("XDG_CONFIG_HOME", context.dir().join("conf"))).expect_success().stdout
    };
    context.write("project/Dockerfile", "FROM scratch\nCOPY Dockerfile /file\n");
    let project = context.dir().join("project");
    run(&["build", "-q", "-t", "box.test/app:1", "--push", project.to_str().unwrap()]);
    let digest = run(&["digest", "box.test/app:1"]);
    assert_eq!(run(&["digest", &registry.image("app:1")]), digest);
    assert_eq!(run(&["pull", "-q", "box.test/app:1"]), digest);
    assert_eq!(run(&["ls", "box.test/app"]), "1\n");
    // Nobody else is there.
    context.run(["digest", "box.test/app:1"]).expect_code(3);
}
