//! Who is answered, and where: those with keys or tokens of an issuer at the address of the settings, or with neither
//! this machine alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::auth::{Authenticator, ByKey, OnThisMachine};
use super::oidc::{ByToken, ByTokenOrKey, Keeper};
use super::{Error, keys};
use crate::config::ApiSettings;
use crate::desk::Desk;
use crate::secret::Secret;

/// See the module.
pub struct WhoMay {
    /// Finds out who asks.
    pub authenticator: Arc<dyn Authenticator>,
    /// Where they are answered.
    pub listen: SocketAddr,
    /// What changes need while there are no keys; its file is written.
    pub token: Option<Secret>,
    /// What has to run beside.
    pub keeper: Option<Keeper>,
}

/// Tokens and keys where there is an issuer, keys where there are any; else this machine alone.
///
/// # Errors
/// The issuer's settings are of no use, the token's file cannot be written.
pub fn who_may(settings: &ApiSettings, desk: &Arc<dyn Desk>, has_keys: bool) -> Result<WhoMay, Error> {
    let (keys, listen) = (ByKey::new(desk.clone()), settings.listen);
    if let Some(oidc) = &settings.oidc {
        let (tokens, keeper) = ByToken::new(oidc)?;
        let authenticator = Arc::new(ByTokenOrKey { tokens, keys });
        return Ok(WhoMay { authenticator, listen, token: None, keeper: Some(keeper) });
    }
    if has_keys {
        return Ok(WhoMay { authenticator: Arc::new(keys), listen, token: None, keeper: None });
    }
    let token = Secret::new(keys::random_hex(32)?);
    let path = &settings.token_file;
    write_token(path, &token).map_err(|error| Error::TokenFile { path: path.clone(), error })?;
    let listen = match settings.listen.ip().is_loopback() {
        true => settings.listen,
        false => SocketAddr::from((Ipv4Addr::LOCALHOST, settings.listen.port())),
    };
    let authenticator = Arc::new(OnThisMachine::new(token.clone(), desk.clone()));
    Ok(WhoMay { authenticator, listen, token: Some(token), keeper: None })
}

/// Only its owner may read it, from its first byte on.
fn write_token(path: &Path, token: &Secret) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, token.expose().as_bytes())
}
