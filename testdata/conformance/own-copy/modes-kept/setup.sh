umask 022
mkdir m; cd m; touch a b c d e; chmod 755 a; chmod 600 b; chmod 4755 c; chmod 2711 d; chmod 444 e
