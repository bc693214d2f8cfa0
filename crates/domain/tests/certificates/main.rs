//! Certificates of a vault: policies, the life of operations and versions, what is managed, what leaves and what does
//! not, renewals, private authorities, issuers outside, and what a store that fails leaves behind.

mod authority;
mod damaged;
mod exportable;
mod import;
mod interrupted;
mod life;
mod life_model;
mod managed;
mod names;
mod outside;
mod pending;
mod policy;
mod records;
mod renewal;
mod rules;
mod support;
mod token;
