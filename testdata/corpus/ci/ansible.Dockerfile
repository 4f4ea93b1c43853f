FROM python:3.12-alpine
RUN apk add --no-cache --virtual .b gcc libffi-dev musl-dev openssl-dev \
 && pip install --no-cache-dir 'ansible-core~=2.17' jmespath netaddr passlib \
 && apk del .b \
 && apk add --no-cache openssh-client rsync sshpass
COPY requirements.yml /tmp/
RUN ansible-galaxy collection install -r /tmp/requirements.yml -p /usr/share/ansible/collections
COPY <<CFG /etc/ansible/ansible.cfg
[defaults]
host_key_checking = False
stdout_callback = yaml
# \$HOME is not expanded at build time
remote_tmp = \$HOME/.ansible/tmp
CFG
WORKDIR /ansible
ENTRYPOINT ["ansible-playbook"]
CMD ["--version"]
