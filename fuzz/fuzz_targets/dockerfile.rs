//! Input: a Dockerfile. Reading it never panics; what could be read is the same after printing and reading again, and
//! can be linted and planned, for the last stage and for each of the first ones, without a panic.
#![no_main]

use std::sync::OnceLock;

use cooper_frontend::ast::Dockerfile;
use cooper_frontend::graph::{
    ImageRequest, ImageResolver, ImageSource, PlanOptions, ResolveError, ResolvedImage,
};
use cooper_frontend::lint::{Filter, lint};
use cooper_frontend::parser::{parse, parse_onbuild_trigger};
use cooper_frontend::print::print;
use cooper_oci::config::{ContainerConfig, ImageConfig};
use cooper_oci::{Digest, Platform};
use libfuzzer_sys::fuzz_target;

/// Every image exists, but for those called `missing`; one called `onbuild` has triggers.
struct Images;

impl ImageResolver for Images {
    fn resolve(&self, requests: &[ImageRequest]) -> Vec<Result<ResolvedImage, ResolveError>> {
        requests.iter().map(image).collect()
    }
}

fn image(request: &ImageRequest) -> Result<ResolvedImage, ResolveError> {
    let name = match &request.source {
        ImageSource::Registry(reference) => reference.familiar_name(),
        ImageSource::OciLayout { path, .. } => path.clone(),
    };
    if name == "missing" {
        return Err(ResolveError { message: format!("{name}: not found"), hint: None });
    }
    let triggers = ["ARG B=$A", "RUN echo $B", "COPY --from=busybox a* /b/"];
    let config = ImageConfig {
        architecture: request.platform.architecture.clone(),
        os: request.platform.os.clone(),
        config: ContainerConfig {
            env: vec!["PATH=/bin".into(), "A=b c".into()],
            cmd: Some(vec!["sh".into()]),
            on_build: triggers.iter().filter(|_| name == "onbuild").map(|&trigger| trigger.into()).collect(),
            ..ContainerConfig::default()
        },
        ..ImageConfig::default()
    };
    Ok(ResolvedImage { manifest: Digest::sha256_of(name.as_bytes()), config })
}

fn options(target: Option<String>) -> PlanOptions {
    static PLATFORM: OnceLock<Platform> = OnceLock::new();
    let platform = PLATFORM.get_or_init(|| "linux/amd64".parse().expect("it is a platform"));
    PlanOptions {
        target,
        platform: Some(platform.clone()),
        build_platform: Some(platform.clone()),
        build_args: vec![("A".into(), "1".into()), ("b".into(), "$A \"x y\"".into())],
        allow_network_host: true,
        allow_insecure: true,
        ..PlanOptions::default()
    }
}

/// The tree without its places, which printing changes.
fn without_spans(file: &Dockerfile) -> String {
    let Dockerfile { directives, global_args, stages, .. } = file;
    let text = format!("{directives:?} {global_args:?} {stages:?}");
    let mut out = String::with_capacity(text.len());
    let mut pieces = text.split("Span { start_line: ");
    out.extend(pieces.next());
    for piece in pieces {
        out.push_str(piece.split_once('}').map_or(piece, |(_, rest)| rest));
    }
    out
}

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_onbuild_trigger(&String::from_utf8_lossy(bytes));
    let Ok(file) = parse(bytes) else { return };
    let printed = print(&file);
    match parse(&printed) {
        Ok(again) => assert_eq!(without_spans(&file), without_spans(&again)),
        Err(error) => panic!("{error} in {:?}", String::from_utf8_lossy(&printed)),
    }
    let check = file.directives.check.as_ref().map(|check| check.value.clone());
    let _ = lint(&file, &Filter::new(check.unwrap_or_default()), &|_| true);
    let _ = cooper_frontend::plan(&file, &options(None), &Images);
    for stage in 0..file.stages.len().min(4) {
        let _ = cooper_frontend::plan(&file, &options(Some(stage.to_string())), &Images);
    }
});
