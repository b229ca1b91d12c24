//! Forms of our own pages, which change something.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use serde::de::DeserializeOwned;

use super::answer::{Refusal, arrived, check_type};
use super::visitor::{Author, TOKEN};

/// The type of a form without files.
const FORM: &str = "application/x-www-form-urlencoded";

/// A form of one of our own pages, with a token in it, and who has sent it. Fields that were left empty are taken for fields that are not there.
#[derive(Debug)]
pub(super) struct Form<T> {
    /// Who has sent it.
    pub(super) author: Author,
    /// What is in it, but for the token.
    pub(super) given: T,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        check_type(&request, FORM)?;
        let (mut parts, body) = request.into_parts();
        let author = Author::from_request_parts(&mut parts, state).await?;
        let body = Request::from_parts(parts, body);
        let body = arrived(Bytes::from_request(body, state)).await?;
        let (fields, token) = split(&body);
        author.visitor().check_token(&token)?;
        let without_token = Request::post("/")
            .header(header::CONTENT_TYPE, FORM)
            .body(Body::from(fields))
            .expect("a request");
        let given = axum::Form::<T>::from_request(without_token, &()).await;
        let axum::Form(given) = given.map_err(|rejection| {
            let text = rejection.body_text();
            // What all of them begin with says nothing to whoever filled in the form.
            let why = text.strip_prefix("Failed to deserialize form body: ");
            Refusal::bad(why.unwrap_or(&text))
        })?;
        Ok(Self { author, given })
    }
}

/// The fields that are filled in, and the token.
fn split(body: &[u8]) -> (String, String) {
    let mut token = String::new();
    let mut fields = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(body) {
        if name == TOKEN {
            token = value.into_owned();
        } else if !value.is_empty() {
            fields.append_pair(&name, &value);
        }
    }
    (fields.finish(), token)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde::Deserialize;

    use super::super::answer::{BODY_BYTES_MAX, Given};
    use super::super::visitor::{FormKey, Visitor};
    use super::*;
    use crate::access::{Identity, Peer};

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fields {
        name: String,
        more: Option<String>,
    }

    fn ann(key: &Arc<FormKey>) -> Visitor {
        let ann = Identity::Known("ann".into());
        Visitor::new(&Peer::default(), ann, true, Arc::clone(key))
    }

    fn request(visitor: &Visitor, media_type: &str, body: impl Into<Body>) -> Request {
        let request = Request::post("/").header(header::CONTENT_TYPE, media_type);
        let mut request = request.body(body.into()).expect("valid");
        request.extensions_mut().insert(visitor.clone());
        request
    }

    #[tokio::test]
    async fn a_form_is_taken_with_its_token_only_and_what_is_empty_is_not_there() {
        let key = Arc::new(FormKey::new());
        let visitor = ann(&key);
        let sent = async |media_type: &str, body: String| {
            let form = Form::<Fields>::from_request(request(&visitor, media_type, body), &()).await;
            form.map(|form| (form.author.name().to_owned(), form.given))
                .map_err(|refusal| refusal.status.as_u16())
        };
        let (token, other) = (visitor.token(), ann(&Arc::new(FormKey::new())).token());
        let fields = Fields {
            name: "a&b é".to_owned(),
            more: None,
        };
        let good = format!("name=a%26b+%C3%A9&more=&token={token}");
        let with_charset = "application/x-www-form-urlencoded; charset=utf-8";
        assert_eq!(
            sent(FORM, good.clone()).await,
            Ok(("ann".to_owned(), fields))
        );
        assert!(sent(with_charset, good.clone()).await.is_ok());
        for (media_type, body, status) in [
            ("text/plain", good.clone(), 415),
            ("multipart/form-data", good, 415),
            (FORM, "name=a".to_owned(), 403),
            (FORM, "name=a&token=".to_owned(), 403),
            (FORM, format!("name=a&token={other}"), 403),
            (FORM, format!("token={token}"), 400),
            (FORM, format!("name=a&unknown=b&token={token}"), 400),
            (FORM, "x".repeat(BODY_BYTES_MAX + 1), 413),
        ] {
            assert_eq!(sent(media_type, body).await, Err(status), "{media_type}");
        }
    }

    #[tokio::test]
    async fn a_program_sends_json_that_says_what_it_is() {
        let visitor = ann(&Arc::new(FormKey::new()));
        let sent = async |media_type: &str, body: &str| {
            let request = request(&visitor, media_type, body.to_owned());
            let given = Given::<Fields>::from_request(request, &()).await;
            given
                .map(|Given(fields)| fields.name)
                .map_err(|refusal| refusal.status.as_u16())
        };
        let body = r#"{"name": "a"}"#;
        let json = "application/json";
        assert_eq!(sent(json, body).await.as_deref(), Ok("a"));
        assert!(sent("Application/JSON; charset=utf-8", body).await.is_ok());
        for (media_type, body, status) in [
            // What a page can have a browser send elsewhere without asking.
            ("text/plain", body, 415),
            (FORM, body, 415),
            ("", body, 415),
            (json, "{", 400),
            (json, "{}", 400),
            (json, r#"{"name": "a", "unknown": 1}"#, 400),
        ] {
            assert_eq!(
                sent(media_type, body).await,
                Err(status),
                "{media_type} {body}"
            );
        }
    }
}
