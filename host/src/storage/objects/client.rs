//! Clients of stores: out of the options of a service and of the environment.
//!
//! What was said of a service goes before the environment. Credentials come from one of the two as a
//! whole: a key of a file with a session's token of the environment would fit together nowhere.

use super::bridge::bridge;
use crate::storage::Trouble;
use crate::storage::services::kinds::{Definition, Kind};
use base64::Engine as _;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::multipart::MultipartStore;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, HeaderMap, HeaderValue, ObjectStore, RetryConfig,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How a store is spoken to.
pub(super) struct Clients {
    /// For what is asked before there is any work: whoever mistyped a name is not to wait long.
    pub(super) asks: Arc<dyn ObjectStore>,
    /// For what is moved: patient.
    pub(super) moves: Arc<dyn ObjectStore>,
    /// The same, for parts. `None`: it can't be written to.
    pub(super) parts: Option<Arc<dyn MultipartStore>>,
    /// Where it is, for messages.
    pub(super) endpoint: String,
}

/// How often a request that failed is made again, and how long a silence is taken for a failure.
struct Patience {
    retries: usize,
    silence: Duration,
}

/// With pauses of 0.1 s and twice as long each time, some 1.5 s in all.
const IMPATIENT: Patience = Patience { retries: 4, silence: Duration::from_secs(30) };
/// Some 45 s in all. A silence is longer than it takes to send a part over a slow line.
const PATIENT: Patience = Patience { retries: 10, silence: Duration::from_secs(120) };

fn retries(patience: &Patience) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: patience.retries,
        retry_timeout: Duration::from_secs(180),
    }
}

impl Clients {
    pub(super) fn new(name: &str, definition: &Definition) -> io::Result<Self> {
        bridge()?; // chooses how TLS is spoken
        let failed = |error: object_store::Error| {
            let kind = definition.kind.known().name;
            // These errors are made of names of options, and of no values but those of numbers.
            let what = format!("the service of kind `{kind}` can't be used: {}", plain(&error));
            Trouble::error(io::ErrorKind::InvalidInput, what, None)
        };
        match definition.kind {
            Kind::S3 => {
                let (options, endpoint) = s3(definition);
                check_endpoint(endpoint_of(
                    &options,
                    &[AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint],
                ))?;
                check_sent(&options, &[AmazonS3ConfigKey::AccessKeyId, AmazonS3ConfigKey::Token])?;
                let build = |patience: &Patience| {
                    let client = client_options(definition, &endpoint, patience)?;
                    let mut builder = AmazonS3Builder::new();
                    for (key, value) in &options {
                        builder = builder.with_config(*key, value);
                    }
                    let builder = builder.with_client_options(client).with_retry(retries(patience));
                    let builder = builder.with_disable_bulk_delete(true).with_bucket_name(name);
                    builder.build().map(Arc::new).map_err(failed)
                };
                let (asks, moves) = (build(&IMPATIENT)?, build(&PATIENT)?);
                let parts = Some(moves.clone() as _);
                Ok(Clients { asks, moves, parts, endpoint: shown(&endpoint, "Amazon S3") })
            }
            Kind::Gs => {
                let endpoint = definition.option("endpoint").unwrap_or_default().to_owned();
                let options = gs(definition);
                check_endpoint(endpoint_of(&options, &[GoogleConfigKey::BaseUrl]))?;
                check_sent(&options, &[GoogleConfigKey::BearerToken])?;
                let build = |patience: &Patience| {
                    let client = client_options(definition, &endpoint, patience)?;
                    let mut builder = GoogleCloudStorageBuilder::new();
                    for (key, value) in &options {
                        builder = builder.with_config(*key, value);
                    }
                    let builder = builder.with_client_options(client).with_retry(retries(patience));
                    builder.with_bucket_name(name).build().map(Arc::new).map_err(failed)
                };
                let (asks, moves) = (build(&IMPATIENT)?, build(&PATIENT)?);
                let parts = Some(moves.clone() as _);
                Ok(Clients {
                    asks,
                    moves,
                    parts,
                    endpoint: shown(&endpoint, "Google Cloud Storage"),
                })
            }
            Kind::Az => {
                let (options, endpoint) = az(definition);
                check_endpoint(endpoint_of(&options, &[AzureConfigKey::Endpoint]))?;
                check_sent(&options, &[AzureConfigKey::Token, AzureConfigKey::AccountName])?;
                let build = |patience: &Patience| {
                    let client = client_options(definition, &endpoint, patience)?;
                    let mut builder = MicrosoftAzureBuilder::new();
                    for (key, value) in &options {
                        builder = builder.with_config(*key, value);
                    }
                    let builder = builder.with_client_options(client).with_retry(retries(patience));
                    builder.with_container_name(name).build().map(Arc::new).map_err(failed)
                };
                let (asks, moves) = (build(&IMPATIENT)?, build(&PATIENT)?);
                let parts = Some(moves.clone() as _);
                Ok(Clients { asks, moves, parts, endpoint: shown(&endpoint, "Azure Blob Storage") })
            }
            Kind::Http | Kind::Local | Kind::Postgres | Kind::Sqlite => {
                let invalid = || {
                    let what = "it is no URL of a web server";
                    Trouble::error(io::ErrorKind::InvalidInput, what, None)
                };
                check_endpoint(Some(name))?;
                let mut url = Url::parse(name).map_err(|_| invalid())?;
                let endpoint = shown(name, "");
                let headers = authorization(&url, definition)?;
                // What is left is what a request is made of.
                let _ = url.set_password(None).and_then(|()| url.set_username(""));
                url.set_fragment(None);
                let build = |patience: &Patience| {
                    let client = client_options(definition, name, patience)?;
                    let client = client.with_default_headers(headers.clone());
                    let builder = HttpBuilder::new().with_url(url.as_str());
                    let builder = builder.with_client_options(client).with_retry(retries(patience));
                    builder.build().map(Arc::new).map_err(|_| invalid())
                };
                let (asks, moves) = (build(&IMPATIENT)?, build(&PATIENT)?);
                Ok(Clients { asks, moves, parts: None, endpoint })
            }
        }
    }
}

fn client_options(
    definition: &Definition,
    endpoint: &str,
    patience: &Patience,
) -> io::Result<ClientOptions> {
    let options = ClientOptions::new()
        .with_allow_http(endpoint.to_ascii_lowercase().starts_with("http://"))
        .with_timeout_disabled() // of the whole: it says nothing, where there is much to move
        .with_connect_timeout(Duration::from_secs(10))
        .with_read_timeout(patience.silence);
    let Some(path) = definition.option("certificate") else { return Ok(options) };
    let certificates = std::fs::read(path).and_then(|pem| {
        Certificate::from_pem_bundle(&pem)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it holds no certificates"))
    });
    let certificates = certificates.map_err(|error| {
        let what = format!("the certificates `{path}` can't be used: {error}");
        Trouble::error(error.kind(), what, None)
    })?;
    Ok(certificates.into_iter().fold(options, ClientOptions::with_root_certificate))
}

/// What was said last under one of these names, in their order.
fn endpoint_of<'a, K: PartialEq>(options: &'a [(K, String)], names: &[K]) -> Option<&'a str> {
    let of = |name: &K| options.iter().rev().find(|(key, _)| key == name);
    names.iter().find_map(of).map(|(_, value)| value.as_str())
}

/// The client takes an endpoint for a URL, and ends the process where it is none.
fn check_endpoint(endpoint: Option<&str>) -> io::Result<()> {
    let is_url = |text: &str| {
        let url = Url::parse(text);
        url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    };
    if endpoint.is_none_or(is_url) {
        return Ok(());
    }
    let hint = "an endpoint begins with http:// or https://, and a name comes behind that";
    // Not shown: it may hold a password.
    Err(Trouble::error(io::ErrorKind::InvalidInput, "the endpoint is no URL", Some(hint)))
}

/// What is sent in headers must be what headers may hold, or the client ends the process.
fn check_sent<K: PartialEq>(options: &[(K, String)], names: &[K]) -> io::Result<()> {
    let sent = options.iter().filter(|(key, _)| names.contains(key));
    match sent.into_iter().any(|(_, value)| HeaderValue::from_str(value).is_err()) {
        false => Ok(()),
        true => {
            let what = "the key or the token has characters that none has";
            let hint = "look for a line break at its end: a file that was read into a variable \
                        leaves one";
            Err(Trouble::error(io::ErrorKind::InvalidInput, what, Some(hint)))
        }
    }
}

/// A place without what may be secret.
fn shown(endpoint: &str, otherwise: &str) -> String {
    let Ok(url) = Url::parse(endpoint) else { return otherwise.to_owned() };
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// An error that was met before anything was asked.
fn plain(error: &object_store::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

/// Variables of the environment whose names begin so, in small letters.
fn environment(prefix: &str) -> Vec<(String, String)> {
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str().filter(|name| name.starts_with(prefix))?;
        Some((name.to_ascii_lowercase(), value.into_string().ok()?))
    });
    variables.filter(|(_, value)| !value.is_empty()).collect()
}

fn s3(definition: &Definition) -> (Vec<(AmazonS3ConfigKey, String)>, String) {
    use AmazonS3ConfigKey as Key;
    let given = |name| definition.option(name).map(str::to_owned);
    let has_credentials =
        ["key", "secret", "token", "anonymous"].iter().any(|name| given(name).is_some());
    let mut options: Vec<(Key, String)> = environment("AWS_")
        .into_iter()
        .filter_map(|(name, value)| Some((name.parse().ok()?, value)))
        .filter(|(key, _)| match key {
            Key::AccessKeyId | Key::SecretAccessKey | Key::Token | Key::SkipSignature => {
                !has_credentials
            }
            Key::Endpoint | Key::S3Endpoint => given("endpoint").is_none(),
            _ => true,
        })
        .collect();
    for (name, key) in [
        ("endpoint", Key::Endpoint),
        ("region", Key::Region),
        ("key", Key::AccessKeyId),
        ("secret", Key::SecretAccessKey),
        ("token", Key::Token),
        ("anonymous", Key::SkipSignature),
        ("virtual_hosted", Key::VirtualHostedStyleRequest),
        ("unsigned_payload", Key::UnsignedPayload),
    ] {
        options.extend(given(name).map(|value| (key, value)));
    }
    let of = |wanted: Key| options.iter().rev().find(|(key, _)| *key == wanted);
    let endpoint = of(Key::S3Endpoint).or_else(|| of(Key::Endpoint));
    let endpoint = endpoint.map(|(_, value)| value.clone()).unwrap_or_default();
    (options, endpoint)
}

fn gs(definition: &Definition) -> Vec<(GoogleConfigKey, String)> {
    use GoogleConfigKey as Key;
    let given = |name| definition.option(name).map(str::to_owned);
    let has_credentials = ["service_account", "service_account_key", "token", "anonymous"]
        .iter()
        .any(|name| given(name).is_some());
    let mut options: Vec<(Key, String)> = environment("GOOGLE_")
        .into_iter()
        .filter_map(|(name, value)| Some((name.parse().ok()?, value)))
        .filter(|(key, _)| matches!(key, Key::BaseUrl | Key::Client(_)) || !has_credentials)
        .collect();
    for (name, key) in [
        ("endpoint", Key::BaseUrl),
        ("service_account", Key::ServiceAccount),
        ("service_account_key", Key::ServiceAccountKey),
        ("token", Key::BearerToken),
        ("anonymous", Key::SkipSignature),
    ] {
        options.extend(given(name).map(|value| (key, value)));
    }
    options
}

fn az(definition: &Definition) -> (Vec<(AzureConfigKey, String)>, String) {
    use AzureConfigKey as Key;
    let given = |name| definition.option(name).map(str::to_owned);
    let has_credentials =
        ["key", "sas", "token", "client_id", "anonymous"].iter().any(|name| given(name).is_some());
    let is_credential = |key: &Key| {
        matches!(
            key,
            Key::AccessKey
                | Key::SasKey
                | Key::Token
                | Key::ClientId
                | Key::ClientSecret
                | Key::AuthorityId
                | Key::SkipSignature
        )
    };
    let mut options: Vec<(Key, String)> = environment("AZURE_")
        .into_iter()
        .filter_map(|(name, value)| Some((name.parse().ok()?, value)))
        .filter(|(key, _)| !(has_credentials && is_credential(key)))
        .collect();
    for (name, key) in [
        ("account", Key::AccountName),
        ("endpoint", Key::Endpoint),
        ("key", Key::AccessKey),
        ("sas", Key::SasKey),
        ("token", Key::Token),
        ("client_id", Key::ClientId),
        ("client_secret", Key::ClientSecret),
        ("tenant_id", Key::AuthorityId),
        ("anonymous", Key::SkipSignature),
    ] {
        options.extend(given(name).map(|value| (key, value)));
    }
    let endpoint = options.iter().rev().find(|(key, _)| *key == Key::Endpoint);
    let endpoint = endpoint.map(|(_, value)| value.clone()).unwrap_or_default();
    (options, endpoint)
}

/// What a web server is told of who asks: from the URL, or from the options.
fn authorization(url: &Url, definition: &Definition) -> io::Result<HeaderMap> {
    let decoded = |text: &str| {
        url::form_urlencoded::parse(format!("={text}").replace('+', "%2B").as_bytes())
            .map(|(_, value)| value.into_owned())
            .collect::<String>()
    };
    let user = definition.option("user").map(str::to_owned);
    let user = user.or_else(|| Some(decoded(url.username())).filter(|user| !user.is_empty()));
    let password = definition.option("password").map(str::to_owned);
    let password = password.or_else(|| url.password().map(decoded)).unwrap_or_default();
    let value = match (definition.option("token"), user) {
        (Some(token), _) => format!("Bearer {token}"),
        (None, Some(user)) => {
            let both =
                base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            format!("Basic {both}")
        }
        (None, None) => return Ok(HeaderMap::new()),
    };
    let mut value = HeaderValue::from_str(&value).map_err(|_| {
        let what = "the token has characters that no token has";
        Trouble::error(io::ErrorKind::InvalidInput, what, None)
    })?;
    value.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert("authorization", value);
    Ok(headers)
}
