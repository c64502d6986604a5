//! The key that signs tokens for API pods, and the one after it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::certificates::secret::Materials;
use crate::certificates::stored::Material;
use crate::scaling::{Signer, TokenError, Tokens};

/// Time that pods take to get a public key that was published: a kubelet looks about once a minute. Until then tokens
/// are signed with the key before.
const ARRIVES: Duration = Duration::from_secs(180);

/// Waits for the first key.
///
/// # Errors
///
/// Whoever keeps the keys ended, or what is kept is none.
pub async fn first(materials: &mut Materials) -> Result<Arc<Tokens>> {
    let first = materials.wait_for(Option::is_some).await.context("the keys' keeper ended")?.clone();
    let first = first.context("keys that were there are gone")?;
    Ok(Arc::new(Tokens::new(signer(&first)?)))
}

/// Signs with every new key, as soon as pods can know it.
pub async fn keep(tokens: Arc<Tokens>, mut materials: Materials) {
    while materials.changed().await.is_ok() {
        tokio::time::sleep(ARRIVES).await;
        let newest = materials.borrow_and_update().clone();
        match newest.as_deref().map(signer) {
            Some(Ok(signer)) => tokens.sign_with(signer),
            Some(Err(error)) => tracing::error!(%error, "a new key of tokens is not usable"),
            None => {}
        }
    }
}

fn signer(material: &Material) -> Result<Signer, TokenError> {
    let tokens = material.tokens();
    Signer::from_pkcs8_pem(tokens.pem().as_bytes(), Some(tokens.kid().to_owned()))
}
