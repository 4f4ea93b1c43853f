//! Copying images, and what refers to one.

use cooper_oci::{Descriptor, Platform, Reference};
use cooper_registry_client::{Copied, CopyOptions};

use super::name::ImageName;
use super::{Images, refused};
use crate::error::BuildError;

impl Images {
    /// Copies an image from one place to another: repositories of registries, or OCI layouts.
    pub async fn copy(
        &self,
        from: &ImageName,
        to: &ImageName,
        options: &CopyOptions,
    ) -> Result<Copied, BuildError> {
        match (from, to) {
            (ImageName::Registry(from), ImageName::Registry(to)) => {
                Box::pin(self.relay(from, to, options)).await
            }
            _ => Box::pin(self.convey(from, to, options)).await,
        }
    }

    /// Copies from one repository to another; nothing is stored on the way.
    pub(super) async fn relay(
        &self,
        from: &Reference,
        to: &Reference,
        options: &CopyOptions,
    ) -> Result<Copied, BuildError> {
        let (mut from, mut options) = (from.clone(), options.clone());
        if let Some(platform) = options.platform.take() {
            // Asked for by us, as everywhere, the error lists what there is.
            let chosen = self.document(&ImageName::Registry(from.clone()), Some(&platform)).await?;
            from = from.with_digest(chosen.descriptor.digest);
        }
        self.client.copy(&from, to, &options).await.map_err(refused)
    }

    /// The image that a name stands for, and the manifests of its repository that refer to it.
    pub async fn referrers(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        artifact_type: Option<&str>,
    ) -> Result<(Descriptor, Vec<Descriptor>), BuildError> {
        let name = ImageName::Registry(reference.clone());
        let subject = match platform {
            Some(platform) => self.document(&name, Some(platform)).await?.descriptor,
            None => self.descriptor(&name).await?,
        };
        let found = self.client.referrers(reference, &subject.digest, artifact_type).await;
        Ok((subject, found.map_err(refused)?))
    }
}
