//! Server-side apply without reading what comes back but for its metadata.

use http::{
    Method, Request,
    header::{ACCEPT, CONTENT_TYPE},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Client, Error};
use serde::Deserialize;

use crate::{
    piece::Piece,
    world::{Child, MANAGER},
};

/// The part of an answer that is read.
#[derive(Deserialize)]
struct Answer {
    metadata: ObjectMeta,
}

/// Applies an object of `namespace`, taking over every field that it sets.
pub(crate) async fn apply(client: &Client, namespace: &str, piece: &Piece) -> Result<Child, Error> {
    let (kind, name) = &piece.key;
    let uri = format!("{}?fieldManager={MANAGER}&force=true", kind.path(namespace, name));
    let request = Request::builder()
        .method(Method::PATCH)
        .uri(uri)
        .header(CONTENT_TYPE, "application/apply-patch+yaml")
        .header(ACCEPT, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
        .body(piece.body.clone())
        .map_err(Error::HttpError)?;
    let answer: Answer = client.request(request).await?;
    Ok(Child::of(&answer.metadata))
}
