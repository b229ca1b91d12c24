//! What `deploy/` holds: built as an operator would build it, held against Kubernetes' own schemas, the Pod Security Standard
//! `restricted`, and the programs that read what is in it.

mod copies;
mod helm;
mod image;
mod kustomize;
mod loki;
mod nats;
mod page;
mod pod;
mod rendered;
mod restricted;
mod story;
mod three;
