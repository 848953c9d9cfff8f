# Sourced by scripts/test: PostgreSQL 15 and PgBouncer, which a few tests run through, from Debian's packages. Nothing is
# started by them: the tests start what they need.
install_other_databases() {
    compgen -G '/usr/lib/postgresql/1[567]/bin/postgres' >/dev/null && command -v pgbouncer >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing postgresql-15 and pgbouncer" >&2
        mkdir -p /etc/postgresql-common
        [ -e /etc/postgresql-common/createcluster.conf ] ||
            echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
        apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 RUNLEVEL=1 apt-get install -qq -y \
                --no-install-recommends postgresql-15 pgbouncer >/dev/null && return
    fi
    echo "Tests through PostgreSQL 15 and PgBouncer are skipped: install the packages postgresql-15 and pgbouncer." >&2
}
install_other_databases
