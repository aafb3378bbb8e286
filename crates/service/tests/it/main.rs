//! A service from outside: the example `probe` as a process.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod traces;
