//! Something that is made of files, and made anew when they change.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use super::file::{Content, NamedFile, Problem};

/// What is wrong, and the place in the list of the file that is to blame.
pub(super) type Blame = (usize, String);

type Make<T> = Box<dyn Fn(&[Content]) -> Result<T, Blame> + Send + Sync>;

/// The newest good `T` that some files made. Of the files nothing is kept but a digest.
pub(super) struct Kept<T> {
    files: Vec<NamedFile>,
    make: Make<T>,
    current: RwLock<Arc<T>>,
    seen: Mutex<Seen>,
}

/// The files as they last were.
struct Seen {
    digest: [u8; 32],
    good: bool,
}

/// What a look at the files found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing new.
    Same,
    /// Something new, which is in use now.
    Renewed,
    /// Something new that cannot be used; what was in use before still is.
    Refused(Problem),
}

impl<T> Kept<T> {
    /// Reads `files` and makes the first `T`; `make` has their contents in the same order.
    pub(super) fn open(
        files: Vec<NamedFile>,
        make: impl Fn(&[Content]) -> Result<T, Blame> + Send + Sync + 'static,
    ) -> Result<Self, Problem> {
        let make: Make<T> = Box::new(make);
        let read = read(&files);
        let digest = digest(&read);
        let first = try_make(&files, &make, read)?;
        Ok(Self {
            files,
            make,
            current: RwLock::new(Arc::new(first)),
            seen: Mutex::new(Seen { digest, good: true }),
        })
    }

    /// The newest good one.
    pub(super) fn get(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the files as they last were are those in use.
    pub(super) fn is_good(&self) -> bool {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .good
    }

    /// The files.
    pub(super) fn files(&self) -> &[NamedFile] {
        &self.files
    }

    /// Reads the files, and makes a new `T` when they are not as they last were. The same mistake is told once.
    pub(super) fn look(&self) -> Look {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let read_now = read(&self.files);
        let digest_now = digest(&read_now);
        // Files that belong together cannot be read at one moment: what changes between two readings is looked at next time.
        if digest_now == seen.digest || digest(&read(&self.files)) != digest_now {
            return Look::Same;
        }
        seen.digest = digest_now;
        let made = try_make(&self.files, &self.make, read_now);
        seen.good = made.is_ok();
        match made {
            Ok(made) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
                Look::Renewed
            }
            Err(problem) => Look::Refused(problem),
        }
    }
}

fn read(files: &[NamedFile]) -> Vec<Result<Content, Problem>> {
    files.iter().map(NamedFile::read).collect()
}

fn try_make<T>(
    files: &[NamedFile],
    make: &Make<T>,
    read: Vec<Result<Content, Problem>>,
) -> Result<T, Problem> {
    let contents = read.into_iter().collect::<Result<Vec<_>, _>>()?;
    make(&contents).map_err(|(place, problem)| files[place].problem(problem))
}

fn digest(read: &[Result<Content, Problem>]) -> [u8; 32] {
    let mut all = Sha256::new();
    for file in read {
        // With the length in front, or a byte that moves from one file to the next would go unseen.
        let (kind, bytes) = match file {
            Ok(content) => (0, content.as_slice()),
            Err(problem) => (1, problem.problem.as_bytes()),
        };
        all.update([kind]);
        all.update((bytes.len() as u64).to_le_bytes());
        all.update(bytes);
    }
    all.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Two files, each a number, in a folder that goes at the end.
    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("trommel-kept-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("temporary files can be made");
            let files = Self(folder);
            files.write("a", "1");
            files.write("b", "2");
            files
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.join(name), text).expect("temporary files can be written");
        }

        fn keep(&self) -> Result<Kept<[u32; 2]>, Problem> {
            let files = ["a", "b"].map(|name| NamedFile::new(name, self.0.join(name)));
            Kept::open(files.to_vec(), |contents| {
                let mut numbers = [0; 2];
                for (place, content) in contents.iter().enumerate() {
                    numbers[place] = std::str::from_utf8(content)
                        .ok()
                        .and_then(|text| text.parse().ok())
                        .ok_or((place, "is no number".to_owned()))?;
                }
                Ok(numbers)
            })
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_the_files_say_is_in_use_once_it_is_good() {
        let files = Files::new("good");
        let kept = files.keep().expect("good");
        assert_eq!((*kept.get(), kept.look()), ([1, 2], Look::Same));

        files.write("b", "3");
        assert_eq!(kept.look(), Look::Renewed);
        assert_eq!((*kept.get(), kept.look()), ([1, 3], Look::Same));
    }

    #[test]
    fn what_is_bad_is_told_once_and_replaces_nothing() {
        let files = Files::new("bad");
        let kept = files.keep().expect("good");
        for text in ["x", ""] {
            files.write("b", text);
            let Look::Refused(problem) = kept.look() else {
                panic!("{text:?} is no number");
            };
            assert_eq!(problem.file.key, "b");
            assert_eq!((*kept.get(), kept.look()), ([1, 2], Look::Same));
            assert!(!kept.is_good());
        }
        std::fs::remove_file(files.0.join("a")).expect("it is there");
        assert!(matches!(kept.look(), Look::Refused(_)));

        files.write("a", "1");
        files.write("b", "2");
        assert_eq!(kept.look(), Look::Renewed, "as before is good again");
        assert!(kept.is_good());
    }

    #[test]
    fn a_byte_that_moves_from_one_file_to_the_next_is_a_change() {
        let files = Files::new("moved");
        files.write("a", "12");
        files.write("b", "3");
        let kept = files.keep().expect("good");
        files.write("a", "1");
        files.write("b", "23");
        assert_eq!(kept.look(), Look::Renewed);
        assert_eq!(*kept.get(), [1, 23]);
    }

    #[test]
    fn nothing_is_kept_of_files_that_are_bad_from_the_start() {
        let files = Files::new("start");
        files.write("a", "");
        assert_eq!(files.keep().err().expect("empty").problem, "is empty");
    }
}
