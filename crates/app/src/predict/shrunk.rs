//! Warns of large images that a network would see much smaller than they are.

use super::find::Pictures;
use super::image::is_large;
use super::networks::shrinking;
use crate::cli::How;
use crate::common::network::Trained;
use executors::Tiling;

/// Largest part of its sides that is left of an image that is warned of.
const LEFT: f64 = 1.0 / 8.0;

/// Warns, once, of images that are larger than photographs and that the networks see at less than an eighth of their
/// height and width: mostly these were trained on pieces of such images.
pub fn warn(networks: &[Trained], how: &How, pictures: &Pictures) {
    let shrunk = |trained: &Trained, size| is_large(size) && shrinking(&trained.config.data, how, size) < LEFT;
    for trained in networks {
        let all: Vec<_> = pictures.iter().filter(|(_, picture)| shrunk(trained, picture.size)).collect();
        let Some((name, picture)) = all.first() else { continue };
        let ([height, width], data) = (picture.size, &trained.config.data);
        let times = 1.0 / shrinking(data, how, picture.size);
        let others = if all.len() > 1 { format!(", like {} others", all.len() - 1) } else { String::new() };
        log::warn!(
            "{name} ({height}x{width} pixels){others} is made {times:.0} times smaller for the network, which hides \
             what is small: if it was trained on pieces of such images, add --tile {} to predict it at its own size",
            Tiling::holding(data.size()).tile
        );
        return;
    }
}
