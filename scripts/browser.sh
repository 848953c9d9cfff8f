# Sourced by what drives a real browser: Debian's Chromium, which Playwright starts. Nothing else is downloaded.
install_browser() {
    [ -x /usr/bin/chromium ] && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing chromium" >&2
        apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null && return
    fi
    echo "Tests of the page are skipped: install the package chromium." >&2
}
install_browser
