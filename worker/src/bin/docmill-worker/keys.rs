//! `keys`: make, list and revoke keys of the API. A new key is printed once, alone, on standard output.

use std::process::ExitCode;

use comfy_table::{Table, presets};
use docmill_core::id::TenantId;
use docmill_worker::api::keys::{generate, hash_of};
use docmill_worker::postgres::{KeyRow, NewKey};
use docmill_worker::time_text::rfc3339_of_ms;

use crate::args::KeysAction;
use crate::load;

const DAY_MS: u64 = 86_400_000;

/// Does it; 0: done, 1: not.
pub fn run(action: KeysAction) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    match runtime.block_on(Box::pin(carry_out(action))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => failed(&message),
    }
}

fn failed(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}

async fn carry_out(action: KeysAction) -> Result<(), String> {
    match action {
        KeysAction::Create { config, tenant, scopes, label, expires_days } => {
            let tenant = TenantId::new(tenant).map_err(|error| error.to_string())?;
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            let made = generate().map_err(|error| error.to_string())?;
            let new = NewKey {
                id: &made.id,
                secret_hash: hash_of(made.key.expose()),
                label: &label,
                tenant: &tenant,
                scopes: &scopes,
                lasts_ms: expires_days.map(|days| days * DAY_MS),
            };
            let kept =
                load::database(&config).await?.create_key(&new).await.map_err(|error| error.to_string())?;
            println!("{}", made.key.expose());
            eprintln!("key {} for tenant {} is made; it is not shown again", kept.id, kept.tenant);
        }
        KeysAction::List { config, json } => {
            let keys = load::database(&config).await?.keys().await.map_err(|error| error.to_string())?;
            if json {
                let keys: Vec<_> = keys.iter().map(as_json).collect();
                println!("{}", serde_json::json!({ "keys": keys }));
            } else {
                println!("{}", table(&keys));
            }
        }
        KeysAction::Revoke { config, id } => {
            let revoked =
                load::database(&config).await?.revoke_key(&id).await.map_err(|error| error.to_string())?;
            if !revoked {
                return Err(format!("there is no key {id:?}; `keys list` shows their ids"));
            }
            eprintln!("key {id} is revoked; the API refuses it within some seconds");
        }
    }
    Ok(())
}

fn as_json(key: &KeyRow) -> serde_json::Value {
    serde_json::json!({
        "id": key.id,
        "label": key.label,
        "tenant": key.tenant,
        "scopes": key.scopes,
        "createdAt": rfc3339_of_ms(key.created_at_ms),
        "expiresAt": key.expires_at_ms.map(rfc3339_of_ms),
        "revokedAt": key.revoked_at_ms.map(rfc3339_of_ms),
    })
}

fn table(keys: &[KeyRow]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["id", "tenant", "scopes", "created", "expires", "revoked", "label"]);
    let time = |time: Option<u64>| time.map_or_else(|| "never".to_owned(), rfc3339_of_ms);
    for key in keys {
        let label: String = key.label.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        table.add_row([
            key.id.clone(),
            key.tenant.to_string(),
            key.scopes.join(","),
            rfc3339_of_ms(key.created_at_ms),
            time(key.expires_at_ms),
            time(key.revoked_at_ms),
            label,
        ]);
    }
    table.trim_fmt()
}
