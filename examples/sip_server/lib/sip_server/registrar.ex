defmodule SipServer.Registrar do
  @moduledoc """
  What becomes of a REGISTER that has been let in (RFC 3261 §10.3, steps 5 to 8), with Path (RFC 3327) and outbound (RFC 5626).
  """

  alias Sippet.{Message, Outbound, URI}
  alias SipServer.Location.Binding

  @max_bindings 16

  @doc """
  Changes the bindings of a user as a REGISTER says, and makes its response: `{:ok, response}`, or `{:error, {status_code,
  sentence, headers}}` for one that is refused, and then nothing has changed.
  """
  def register(user, request) do
    config = SipServer.config()
    # What is kept must not hold on to the datagram.
    request = Message.copy(request)
    now = System.os_time(:second)

    with {:ok, asked} <- contacts(request, config.expires),
         {:ok, outbound?} <- outbound(request),
         {:ok, path} <- path(request),
         registration = %{request: request, path: path, outbound?: outbound?, now: now},
         change = &change(&1, asked, registration),
         {:ok, bindings} <- config.location.update(user, change) do
      {:ok, response(request, bindings, outbound?, now)}
    end
  end

  # `:all` to be removed, or `[{contact, seconds}]` (steps 6 and 7). What the parser could not read has kept its name and stays text.
  defp contacts(%{headers: %{"Contact" => _text}}, _expires),
    do: {:error, {400, "a Contact that cannot be read, or * beside others", []}}

  defp contacts(%{headers: %{contact: "*"}} = request, _expires) do
    if request.headers[:expires] == 0,
      do: {:ok, :all},
      else: {:error, {400, "Contact * needs Expires 0", []}}
  end

  defp contacts(request, expires) do
    asked =
      for contact <- Map.get(request.headers, :contact, []),
          do: {contact, seconds(contact, request, expires)}

    cond do
      Enum.any?(asked, fn {{_name, uri, _parameters}, _seconds} ->
        uri.scheme not in ["sip", "sips"]
      end) ->
        {:error, {400, "a Contact is no address that calls can go to", []}}

      # Step 7: only what is shorter than an hour may be called too brief.
      Enum.any?(asked, fn {_contact, seconds} ->
        seconds > 0 and seconds < min(expires[:min], 3600)
      end) ->
        {:error,
         {423, "registrations last #{expires[:min]} seconds at least", min_expires: expires[:min]}}

      true ->
        {:ok, for({contact, seconds} <- asked, do: {contact, min(seconds, expires[:max])})}
    end
  end

  # A value that cannot be read counts as the default (§20.19).
  defp seconds({_name, _uri, parameters}, request, expires) do
    with {:ok, text} <- Map.fetch(parameters, "expires"),
         {seconds, ""} when seconds >= 0 <- Integer.parse(text) do
      seconds
    else
      :error -> Map.get(request.headers, :expires, expires[:default])
      _malformed -> expires[:default]
    end
  end

  # RFC 5626 §6.
  defp outbound(request) do
    case Outbound.check_registration(request) do
      {:outbound, _instance, _reg_id} ->
        {:ok, true}

      :ordinary ->
        {:ok, false}

      {:error, 439} ->
        {:error, {439, "the first hop keeps no flow", []}}

      {:error, 400} ->
        {:error, {400, "a reg-id that is no number, or one of several contacts", []}}
    end
  end

  defp first_hop?(%{headers: %{via: [_only]}}), do: true
  defp first_hop?(_request), do: false

  # Without it the user could not be reached.
  defp path(request) do
    with true <- Message.has_header?(request, "Path"),
         {:error, _malformed} <- Message.decode_header(request, "Path") do
      {:error, {400, "a Path that cannot be read", []}}
    else
      false -> {:ok, []}
      {:ok, path} -> {:ok, path}
    end
  end

  # Runs alone for this user.
  defp change(bindings, :all, registration) do
    if Enum.all?(bindings, &newer?(registration.request, &1)), do: {:ok, []}, else: out_of_order()
  end

  defp change(bindings, asked, %{request: request, now: now} = registration) do
    {names, changes} =
      for {contact, seconds} <- asked, reduce: {[], %{}} do
        {names, changes} ->
          key = find(bindings, key(contact, registration.outbound?))

          {[key | names],
           Map.put(changes, key, binding(contact, key, now + seconds, registration))}
      end

    {touched, kept} = Enum.split_with(bindings, &(&1.key in names))
    new = for key <- Enum.uniq(names), binding = changes[key], binding.until > now, do: binding

    cond do
      not Enum.all?(touched, &newer?(request, &1)) ->
        out_of_order()

      length(kept) + length(new) > @max_bindings ->
        {:error, {403, "a user has #{@max_bindings} contacts at most", []}}

      true ->
        {:ok, new ++ kept}
    end
  end

  # Step 7: of another Call-ID, or later.
  defp newer?(request, binding) do
    {cseq, _method} = request.headers.cseq
    binding.call_id != request.headers.call_id or cseq > binding.cseq
  end

  defp out_of_order,
    do: {:error, {500, "a later REGISTER of this Call-ID has been here before", []}}

  defp key({_name, _uri, %{"reg-id" => reg_id, "+sip.instance" => instance}}, true),
    do: {instance, reg_id}

  defp key({_name, uri, _parameters}, _outbound?), do: uri

  # The one that is the same by §19.1.4, else the key itself.
  defp find(bindings, %URI{} = uri) do
    Enum.find_value(bindings, uri, fn
      %{key: %URI{} = key} -> URI.equivalent(key, uri) && key
      _other -> nil
    end)
  end

  defp find(_bindings, key), do: key

  defp binding(contact, key, until, %{request: request, path: path, outbound?: outbound?}) do
    [{_version, protocol, _sent_by, _parameters} = via | _] = request.headers.via
    flow? = first_hop?(request) and (outbound? or protocol in [:ws, :wss] or translated?(via))

    {cseq, _method} = request.headers.cseq

    %Binding{
      contact: contact,
      key: key,
      call_id: request.headers.call_id,
      cseq: cseq,
      until: until,
      path: path,
      protocol: protocol,
      flow: if(flow?, do: request.source)
    }
  end

  # The client is behind a NAT: it is not where its Via says, and so not where its Contact says either. That there is a `received`
  # proves nothing, since each Via with `rport` gets one (RFC 3581 §4). Nor does a sent-by that is a name, which may lead to where
  # the request is from. The port counts where the client has said that it listens where it sends from; a stream's is any.
  defp translated?({_version, protocol, {host, port}, parameters}) do
    with {:ok, sent_by} <- address(host),
         {:ok, received} when received != sent_by <- address(parameters["received"]) do
      true
    else
      _same_or_none -> protocol == :udp and parameters["rport"] not in [nil, "#{port}"]
    end
  end

  defp address(nil), do: :none
  defp address(host), do: host |> String.to_charlist() |> :inet.parse_strict_address()

  # Step 8.
  defp response(request, bindings, outbound?, now) do
    response = Message.to_response(request, 200)

    contacts =
      for %{contact: {name, uri, parameters}, until: until} <- bindings,
          do: {name, uri, Map.put(parameters, "expires", Integer.to_string(until - now))}

    response =
      if contacts == [], do: response, else: Message.put_header(response, :contact, contacts)

    response =
      if outbound?, do: Message.put_header(response, :require, ["outbound"]), else: response

    # RFC 3327 §5.3: what the client has said it understands.
    if Message.has_header?(request, "Path") and
         "path" in Map.get(request.headers, :supported, []),
       do: Message.put_header(response, "Path", Message.get_header(request, "Path")),
       else: response
  end
end
