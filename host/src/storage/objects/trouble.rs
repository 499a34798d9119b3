//! What a store says when it refuses, in words for people: what, cause, hint.
//!
//! Of an answer only the code and the message are taken, of a failed connection only its innermost
//! reason. The rest may hold URLs with tokens, or what was signed.

use crate::causes::chain;
use crate::storage::Trouble;
use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};
use std::error::Error as StdError;
use std::io::{self, ErrorKind};

/// What was asked for, in names that may be shown.
pub(super) struct Place<'a> {
    pub(super) at: &'a str,
    pub(super) bucket: &'a str,
    pub(super) endpoint: &'a str,
}

/// What is known of a failure.
struct Answer {
    /// A number of HTTP, where there was an answer.
    status: Option<u16>,
    /// The store's own code: `NoSuchKey`.
    code: String,
    /// The store's own words.
    message: String,
    /// Where there was no answer.
    transport: Option<HttpErrorKind>,
    /// The innermost reason for that.
    root: String,
    /// Whether it failed while credentials were asked for where machines of a cloud have them.
    is_of_credentials: bool,
}

impl Answer {
    fn of(error: &Error) -> Self {
        let text = chain(error);
        let (mut transport, mut root) = (None, String::new());
        let mut cause = Some(error as &(dyn StdError + 'static));
        while let Some(error) = cause {
            if let Some(http) = error.downcast_ref::<HttpError>() {
                transport = Some(http.kind());
            }
            root = error.to_string();
            cause = error.source();
        }
        let status =
            text.split("status code: ").nth(1).and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.or(match error {
            Error::NotFound { .. } => Some(404),
            Error::Precondition { .. } => Some(412),
            Error::PermissionDenied { .. } => Some(403),
            Error::Unauthenticated { .. } => Some(401),
            _ => None,
        });
        Answer {
            status,
            code: element(&text, "Code"),
            message: element(&text, "Message"),
            transport,
            root,
            is_of_credentials: text.contains("169.254.169.254") || text.contains("metadata.google"),
        }
    }
}

/// What stands between `<NAME>` and `</NAME>`.
fn element(text: &str, name: &str) -> String {
    let inner = text.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
    let inner = inner.and_then(|rest| rest.split_once(&format!("</{name}>")));
    let inner = inner.map_or("", |(inner, _)| inner);
    inner.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

/// Whether there is no such object, in a bucket that is there.
pub(super) fn is_missing_object(error: &Error) -> bool {
    let answer = Answer::of(error);
    answer.status == Some(404) && !is_bucket(&answer.code)
}

/// Whether there is no such bucket.
pub(super) fn is_missing_bucket(error: &Error) -> bool {
    is_bucket(&Answer::of(error).code)
}

fn is_bucket(code: &str) -> bool {
    matches!(code, "NoSuchBucket" | "ContainerNotFound")
}

/// Whether the store has no such upload (any more); Azure's has none, and misses the parts.
pub(super) fn is_gone_upload(error: &Error) -> bool {
    matches!(Answer::of(error).code.as_str(), "NoSuchUpload" | "InvalidBlockList")
}

/// Whether it may only be that reading is not allowed, or that there is nothing in it to be read.
pub(super) fn is_unsure(error: &Error) -> bool {
    let Answer { status, code, .. } = Answer::of(error);
    match code.as_str() {
        "AccessDenied" | "AuthorizationPermissionMismatch" | "InvalidRange" => true,
        "" => matches!(status, Some(403 | 416)),
        _ => status == Some(416),
    }
}

/// Whether a connection broke, or what came was no answer: what the client does not try again.
pub(super) fn is_broken(error: &Error) -> bool {
    let Answer { status, transport, is_of_credentials, .. } = Answer::of(error);
    let is_broken = match transport {
        Some(HttpErrorKind::Connect | HttpErrorKind::Timeout) => false,
        Some(_) => true,
        None => matches!(error, Error::Generic { .. }),
    };
    is_broken && status.is_none() && !is_of_credentials
}

/// An error that tells it. `secrets` are taken out of the store's own words, should they be there.
pub(super) fn told<'a>(
    error: &Error,
    place: &Place<'_>,
    secrets: impl Iterator<Item = &'a str>,
) -> io::Error {
    let answer = Answer::of(error);
    let (kind, mut what, hint) = words(error, &answer, place);
    if !answer.code.is_empty() {
        what += &format!(" ({}", answer.code);
        if !answer.message.is_empty() {
            what += &format!(": {}", answer.message.trim_end_matches('.'));
        }
        what.push(')');
    }
    for secret in secrets.filter(|secret| secret.len() > 3) {
        // Not the names of the bucket and of the server, which are options too.
        if !place.bucket.contains(secret) && !secret.contains(place.endpoint) {
            what = what.replace(secret, "(hidden)");
        }
    }
    Trouble::error(kind, what, hint)
}

const CREDENTIALS: &str = "they come from --key and --secret-key, from the file that --services gives, \
                           or from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, …)";

fn words(
    error: &Error,
    answer: &Answer,
    place: &Place<'_>,
) -> (ErrorKind, String, Option<&'static str>) {
    let Place { at, bucket, endpoint } = place;
    if answer.is_of_credentials {
        let what = format!("there are no credentials for {endpoint}");
        return (ErrorKind::PermissionDenied, what, Some(CREDENTIALS));
    }
    match answer.code.as_str() {
        code if is_bucket(code) => {
            let hint = "buckets are not made here: check its name, and that of the endpoint";
            let what = format!("there is no bucket `{bucket}` at {endpoint}");
            return (ErrorKind::NotFound, what, Some(hint));
        }
        "InvalidAccessKeyId" => {
            let what = format!("{endpoint} does not know the access key");
            return (ErrorKind::PermissionDenied, what, Some(CREDENTIALS));
        }
        "SignatureDoesNotMatch" | "AuthenticationFailed" => {
            let what =
                format!("{endpoint} does not take the secret key for that of the access key");
            return (ErrorKind::PermissionDenied, what, Some(CREDENTIALS));
        }
        "ExpiredToken" | "TokenRefreshRequired" => {
            let what = "the session's token has expired".to_owned();
            return (ErrorKind::PermissionDenied, what, Some("ask for a new one, and run again"));
        }
        "RequestTimeTooSkewed" => {
            let what = "this machine's clock is not the server's".to_owned();
            return (ErrorKind::PermissionDenied, what, Some("set the clock"));
        }
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "IllegalLocationConstraintException" => {
            let what = format!("the bucket `{bucket}` is in another region");
            let hint = "name it: AWS_REGION, or `region` in the file that --services gives";
            return (ErrorKind::InvalidInput, what, Some(hint));
        }
        _ => {}
    }
    match answer.status {
        Some(404) => {
            let hint = "names are exact, capital letters too";
            (ErrorKind::NotFound, format!("there is no `{at}` at {endpoint}"), Some(hint))
        }
        Some(403) => {
            let hint = "whoever owns the bucket must allow reading, writing and listing there";
            (ErrorKind::PermissionDenied, format!("{endpoint} denies access to `{at}`"), Some(hint))
        }
        Some(401) => {
            let what = format!("{endpoint} wants to know who asks for `{at}`");
            (ErrorKind::PermissionDenied, what, Some(CREDENTIALS))
        }
        Some(412) => (ErrorKind::InvalidData, "it changed while it was read".to_owned(), None),
        Some(status @ (429 | 503)) => {
            let hint = "run again when there is less to do, or with fewer runs at once";
            let what =
                format!("{endpoint} is overloaded, also after several tries: status {status}");
            (ErrorKind::TimedOut, what, Some(hint))
        }
        Some(status @ 500..) => {
            let what = format!("{endpoint} fails, also after several tries: status {status}");
            (ErrorKind::Other, what, Some("run again later"))
        }
        Some(status @ 300..=399) => {
            let what = format!("{endpoint} sends us elsewhere: status {status}");
            (ErrorKind::Other, what, Some("check the endpoint, and the bucket's region"))
        }
        Some(status) => (ErrorKind::Other, format!("{endpoint} refuses: status {status}"), None),
        None => unanswered(error, answer, endpoint),
    }
}

/// What to say where nobody answered, or where it was no answer.
fn unanswered(
    error: &Error,
    answer: &Answer,
    endpoint: &str,
) -> (ErrorKind, String, Option<&'static str>) {
    let root = &answer.root;
    let lower = root.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&["certificate", "tls", "handshake", "unknownissuer", "corrupt message"]) {
        let hint = "a server with a certificate of its own: `certificate` in the file that \
                    --services gives, or SSL_CERT_FILE; one without TLS: http://";
        let what = format!("no safe connection to {endpoint} can be made: {root}");
        return (ErrorKind::ConnectionAborted, what, Some(hint));
    }
    match answer.transport {
        Some(HttpErrorKind::Connect) => {
            let what = format!("nobody answers at {endpoint}: {root}");
            (ErrorKind::ConnectionRefused, what, Some("check the endpoint, and the network"))
        }
        Some(HttpErrorKind::Timeout) => {
            let what = format!("{endpoint} has fallen silent");
            (ErrorKind::TimedOut, what, Some("run again when it answers"))
        }
        Some(_) => {
            let what =
                format!("the connection to {endpoint} broke, also after several tries: {root}");
            (ErrorKind::ConnectionReset, what, Some("run again when the network is better"))
        }
        None => {
            let why = match error {
                Error::Generic { source, .. } | Error::NotSupported { source } => {
                    source.to_string()
                }
                _ => "its answer is none".to_owned(),
            };
            // It may hold a whole request: the first words are enough.
            let why = why.split("http").next().unwrap_or_default().trim().to_owned();
            (ErrorKind::Other, format!("{endpoint} does not answer as it should: {why}"), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `object_store` words an answer.
    fn answered(status: &str, body: &str) -> Error {
        let text = format!(
            "Error performing GET https://h/b/k?X-Amz-Signature=hush in 1ms - Server returned \
             non-2xx status code: {status}: {body}"
        );
        match &status[..3] {
            "404" => Error::NotFound { path: "k".to_owned(), source: text.into() },
            "403" => Error::PermissionDenied { path: "k".to_owned(), source: text.into() },
            _ => Error::Generic { store: "S3", source: text.into() },
        }
    }

    #[test]
    fn an_answer_is_told_in_words_and_no_secret_is() {
        let place = Place { at: "s3://b/k", bucket: "b", endpoint: "http://h:1" };
        for (status, body, expected) in [
            (
                "404 Not Found",
                "<Code>NoSuchBucket</Code>",
                "there is no bucket `b` at http://h:1 (NoSuchBucket)",
            ),
            (
                "404 Not Found",
                "<Code>NoSuchKey</Code>",
                "there is no `s3://b/k` at http://h:1 (NoSuchKey)",
            ),
            ("404 Not Found", "", "there is no `s3://b/k` at http://h:1"),
            (
                "403 Forbidden",
                "<Code>InvalidAccessKeyId</Code><Message>no hush\n here.</Message><AWSAccessKeyId>hush",
                "http://h:1 does not know the access key (InvalidAccessKeyId: no (hidden) here)",
            ),
            (
                "403 Forbidden",
                "<Code>SignatureDoesNotMatch</Code><StringToSign>hush</StringToSign>",
                "http://h:1 does not take the secret key for that of the access key (SignatureDoesNotMatch)",
            ),
            (
                "403 Forbidden",
                "<Code>AccessDenied</Code>",
                "http://h:1 denies access to `s3://b/k` (AccessDenied)",
            ),
            (
                "503 Slow Down",
                "<Code>SlowDown</Code>",
                "http://h:1 is overloaded, also after several tries: status 503 (SlowDown)",
            ),
            ("500 Internal", "", "http://h:1 fails, also after several tries: status 500"),
        ] {
            let error = told(&answered(status, body), &place, ["hush"].into_iter());
            assert_eq!(error.to_string(), expected);
            assert!(!format!("{error:?}").contains("hush"));
        }
    }

    #[test]
    fn what_an_answer_means_is_told_by_its_code() {
        assert!(
            ["500 x", "503 x", "403 x", "404 x"].iter().all(|it| !is_broken(&answered(it, "")))
        );
        let source = "the answer ended early".into();
        assert!(is_broken(&Error::Generic { store: "S3", source }));
        assert!(is_missing_object(&answered("404 x", "<Code>NoSuchKey</Code>")));
        assert!(!is_missing_object(&answered("404 x", "<Code>NoSuchBucket</Code>")));
        assert!(is_unsure(&answered("403 x", "<Code>AccessDenied</Code>")));
        assert!(!is_unsure(&answered("403 x", "<Code>SignatureDoesNotMatch</Code>")));
    }
}
