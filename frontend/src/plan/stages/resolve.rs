//! Base images: asked for in waves, as ONBUILD triggers of one may name others.

use cooper_oci::config::ImageConfig;
use cooper_oci::{Extra, Platform};

use super::{Base, Planner};
use crate::error::did_you_mean;
use crate::graph::{ImageOp, ImageRequest, ImageSource, NamedContext, ResolvedImage};
use crate::plan::PlanError;

/// What a state's base turned out to be.
#[derive(Debug, Clone)]
pub(in crate::plan) enum Origin {
    /// An image with layers; its config without fields that are not passed on.
    Image(ImageOp, Box<ImageConfig>),
    /// An image without layers.
    EmptyImage(Platform, Box<ImageConfig>),
    /// The empty image.
    Scratch,
    /// Files without a config.
    Files(String, NamedContext),
}

impl Planner<'_> {
    /// Resolves all bases that `target` needs.
    pub fn resolve(&mut self, target: usize) -> Result<(), PlanError> {
        loop {
            let reachable = self.reachable(target);
            self.resolve_wave(&reachable)?;
            let mut found_more = false;
            for at in reachable {
                found_more |= self.add_triggers(at)?;
            }
            if !found_more {
                return Ok(());
            }
            self.refuse_circles()?;
        }
    }

    fn resolve_wave(&mut self, wave: &[usize]) -> Result<(), PlanError> {
        let mut requests: Vec<ImageRequest> = Vec::new();
        let mut waiting: Vec<(usize, usize)> = Vec::new();
        for at in wave.iter().copied() {
            let state = &self.states[at];
            if state.origin.is_some() {
                continue;
            }
            let source = match &state.base {
                Base::Stage(_) => continue,
                Base::Scratch => {
                    self.states[at].origin = Some(Origin::Scratch);
                    continue;
                }
                Base::Image(reference) => ImageSource::Registry(reference.clone()),
                Base::Context(key, context) => {
                    let Some(source) = context_image(context) else {
                        self.states[at].origin = Some(Origin::Files(key.clone(), context.clone()));
                        continue;
                    };
                    source
                }
            };
            let platform = state.platform.clone().unwrap_or_else(|| self.target_platform.clone());
            let request = ImageRequest { source, platform };
            let slot = requests.iter().position(|known| *known == request).unwrap_or(requests.len());
            if slot == requests.len() {
                requests.push(request);
            }
            waiting.push((at, slot));
        }
        if requests.is_empty() {
            return Ok(());
        }
        let answers = self.resolver.resolve(&requests);
        for (at, slot) in waiting {
            let state = &self.states[at];
            match answers.get(slot) {
                Some(Ok(image)) => {
                    let origin = Self::origin(&requests[slot], image);
                    self.check_platform(at, &origin);
                    self.states[at].origin = Some(origin);
                }
                Some(Err(error)) => {
                    let hint = did_you_mean(&state.base_name, self.stage_names());
                    let hint = error.hint.clone().or(hint);
                    return Err(PlanError::new(state.span, error.message.clone()).with_hint(hint));
                }
                None => {
                    let message = format!("{}: the resolver gave no answer", state.base_name);
                    return Err(PlanError::new(state.span, message));
                }
            }
        }
        Ok(())
    }

    fn origin(request: &ImageRequest, image: &ResolvedImage) -> Origin {
        let mut config = image.config.clone();
        config.created = None;
        config.other = Extra::default();
        config.config.other = Extra::default();
        let is_empty =
            config.rootfs.diff_ids.is_empty() && config.history.iter().all(|entry| entry.empty_layer);
        let platform = request.platform.clone();
        if is_empty {
            return Origin::EmptyImage(platform, Box::new(config));
        }
        let op = ImageOp { source: request.source.clone(), manifest: image.manifest.clone(), platform };
        Origin::Image(op, Box::new(config))
    }

    fn check_platform(&mut self, at: usize, origin: &Origin) {
        let Origin::Image(op, config) = origin else { return };
        let (state, want) = (&self.states[at], &op.platform);
        if !matches!(state.base, Base::Image(_))
            || (want.os == config.os && want.architecture == config.architecture)
        {
            return;
        }
        let actual = Platform::new(&config.os, &config.architecture, config.variant.as_deref());
        let message = format!(
            "Base image {} was pulled with platform \"{actual}\", expected \"{want}\" for current build",
            state.base_name
        );
        let span = state.span;
        self.warn("InvalidBaseImagePlatform", span, message);
    }
}

fn context_image(context: &NamedContext) -> Option<ImageSource> {
    match context {
        NamedContext::Image(reference) => {
            let tag = reference.tag_or_latest().map(str::to_owned);
            Some(ImageSource::Registry(cooper_oci::Reference { tag, ..reference.clone() }))
        }
        NamedContext::OciLayout { path, tag, digest } => {
            Some(ImageSource::OciLayout { path: path.clone(), tag: tag.clone(), digest: digest.clone() })
        }
        _ => None,
    }
}
