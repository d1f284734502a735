//! Requests over HTTP: one answer at a time.

use crate::partial::Version;
use crate::{Error, Limits};
use std::env;
use std::io::{self, Read};
use std::time::Duration;
use ureq::http::{HeaderMap, HeaderName, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// Variable with the path of a file of root certificates, for networks whose proxies have their own. OpenSSL, curl and
/// Python know it too.
const ROOTS: &str = "SSL_CERT_FILE";

/// Reason why an attempt ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Another attempt would end alike.
    Always(Error),
    /// Another attempt may come further.
    This {
        /// Reason, in words.
        said: String,
        /// True if the time for the answer's body was over.
        late: bool,
        /// Pause that the server asks for.
        after: Option<Duration>,
    },
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Always(error)
    }
}

impl Ended {
    pub(crate) fn early(said: impl Into<String>) -> Self {
        Self::This { said: said.into(), late: false, after: None }
    }
}

/// An answer whose body is to be read.
pub(crate) struct Answer {
    pub body: Body,
    /// First byte of the body in the file; None if it is the whole file.
    pub from: Option<u64>,
    pub version: Version,
    /// True if the end of the body can be told from a lost connection.
    pub delimited: bool,
}

/// Client that follows redirects, from `https` only to `https`, and uses the proxies that the environment names.
///
/// # Errors
///
/// Fails if the file that [`ROOTS`] names holds no certificates.
pub(crate) fn agent(url: &str, limits: &Limits) -> Result<Agent, Error> {
    let mut tls = TlsConfig::builder();
    if let Some(path) = env::var_os(ROOTS).filter(|path| !path.is_empty()) {
        let path = std::path::Path::new(&path);
        let mut pem = Vec::new();
        let read = regular::open(path).and_then(|mut file| file.read_to_end(&mut pem));
        read.map_err(Error::io("read the root certificates of SSL_CERT_FILE,", path))?;
        let roots = certificates(&pem);
        if roots.is_empty() {
            let none = io::Error::new(io::ErrorKind::InvalidData, "it holds no certificate in the PEM format");
            return Err(Error::io("read the root certificates of SSL_CERT_FILE,", path)(none));
        }
        tls = tls.root_certs(RootCerts::from(roots));
    }
    let config = Agent::config_builder()
        .https_only(url.starts_with("https://"))
        .http_status_as_error(false)
        .max_redirects(limits.redirects)
        .timeout_resolve(Some(limits.answer))
        .timeout_connect(Some(limits.answer))
        .timeout_recv_response(Some(limits.answer))
        .user_agent(concat!("oxiseg/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls.build())
        .build();
    Ok(Agent::new_with_config(config))
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let items = ureq::tls::parse_pem(pem).filter_map(Result::ok);
    let certificates = items.filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    certificates.collect()
}

/// Requests the file, or what comes after its first `known` bytes of that version.
pub(crate) fn ask(agent: &Agent, url: &str, known: Option<(u64, &str)>, patience: Duration) -> Result<Answer, Ended> {
    let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
    if let Some((bytes, validator)) = known {
        request = request.header(header::RANGE, format!("bytes={bytes}-")).header(header::IF_RANGE, validator);
    }
    let answer = request.config().timeout_recv_body(Some(patience)).build().call();
    let answer = answer.map_err(|error| failed(url, error))?;
    let (head, body) = answer.into_parts();
    let headers = &head.headers;
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let length = text(header::CONTENT_LENGTH).and_then(|text| text.trim().parse::<u64>().ok());
    let delimited = length.is_some() || headers.contains_key(header::TRANSFER_ENCODING);
    let validator = validator(headers);
    match head.status.as_u16() {
        200 => Ok(Answer { body, from: None, version: Version { validator, total: length }, delimited }),
        206 if known.is_some() => {
            let (from, total) = text(header::CONTENT_RANGE).and_then(range).unwrap_or_default();
            Ok(Answer { body, from: Some(from), version: Version { validator, total }, delimited })
        }
        // There is no such part: the file there is another one by now.
        416 if known.is_some() => Ok(Answer { body, from: Some(u64::MAX), version: Version::default(), delimited }),
        408 | 429 | 500.. => {
            let after = text(header::RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
            Err(Ended::This { said: format!("the server answers {}", head.status), late: false, after })
        }
        status => Err(Error::Status { url: url.into(), status }.into()),
    }
}

/// Returns what names the version of the file: a strong entity tag, else its date.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(String::from);
    text(header::ETAG).filter(|tag| tag.starts_with('"')).or_else(|| text(header::LAST_MODIFIED))
}

/// Returns the first byte and the size of the whole from a header `Content-Range: bytes 5-9/10`.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let from = range.split_once('-')?.0.trim().parse().ok()?;
    let total = if total == "*" { None } else { Some(total.trim().parse().ok()?) };
    Some((from, total))
}

/// Sorts errors into those that pass and those that do not.
fn failed(url: &str, error: ureq::Error) -> Ended {
    let request = |said: &str| Ended::Always(Error::Request { url: url.into(), said: said.into() });
    match error {
        ureq::Error::TooManyRedirects => request("it redirects too often"),
        ureq::Error::RequireHttpsOnly(to) => request(&format!("it redirects to {to}, which is not encrypted")),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => request(&error.to_string()),
        ureq::Error::InvalidProxyUrl => request("the environment names a proxy that has no valid address"),
        error => Ended::early(error.to_string()),
    }
}

/// Returns true if the time for a body was over.
pub(crate) fn is_late(error: &io::Error) -> bool {
    let of_client = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    error.kind() == io::ErrorKind::TimedOut || matches!(of_client, Some(ureq::Error::Timeout(_)))
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn a_range_names_its_first_byte_and_the_size() {
        assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, None)));
        for wrong in ["", "bytes */10", "bytes 5-9", "bytes x-9/10", "items 5-9/10", "bytes 5-9/x"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }
}
