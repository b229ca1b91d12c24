//! The page as people see it: in Chromium, with findings that come about while they look.

mod access;
mod copying;
mod hostile;
mod lists;
mod live;
mod load;
mod pictures;
mod reading;
mod rules;
